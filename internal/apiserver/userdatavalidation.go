package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/pkg/packet"
)

func userdataRoutes() []Route {
	return []Route{
		{http.MethodPost, "/userdata/validate", "validateUserdata", (*API).validateUserdata, nil},
	}
}

// validateUserdata tells whether a device could be made with user data. The
// document has it in the query; a body is what does not end up in the logs of
// whatever is between, and takes more.
func (a *API) validateUserdata(r *request) (response, error) {
	input := packet.UserdataValidation{Userdata: r.query.Get("userdata")}
	if r.http.ContentLength != 0 && r.http.Body != http.NoBody {
		if err := r.decode(&input); err != nil {
			return response{}, err
		}
	}
	var p problems
	if input.Userdata == "" {
		p.add("userdata can't be blank")
	}
	p.userdata(input.Userdata)
	if err := p.err(); err != nil {
		return response{}, err
	}
	return noContent()
}
