package apiserver

import (
	"net/http"
	"slices"
)

// Route is one operation of the API.
type Route struct {
	Method string
	// Path is without the prefix, with parameters in braces.
	Path string
	// Operation is the operation ID of the OpenAPI document.
	Operation string
	// handle is nil for what is not implemented, which answers 501.
	handle handler
	// of says whom the object belongs to that the first parameter of the path
	// names. It is nil for paths without one, and for what belongs to nobody.
	// Who may not see the object is told that there is none.
	of subject
}

// Implemented tells whether the server does more than refuse.
func (r Route) Implemented() bool { return r.handle != nil }

// methods are those that the operation is asked for by. Packngo changes some
// objects by PATCH, which the service took for PUT.
func (r Route) methods() []string {
	if slices.Contains([]string{"updateDevice", "updateProject", "updateOrganization", "updateSSHKey"}, r.Operation) {
		return []string{r.Method, http.MethodPatch}
	}
	return []string{r.Method}
}

// Routes lists all operations of the API, implemented or not.
func Routes() []Route {
	return slices.Concat(implemented(), planned())
}

// implemented lists the operations that the server carries out, by the file
// that does it. The names of the operations are those of the OpenAPI document.
func implemented() []Route {
	return slices.Concat(
		deviceRoutes(),
		deviceDetailRoutes(),
		batchRoutes(),
		eventRoutes(),
		usageRoutes(),
		addressRoutes(),
		bgpRoutes(),
		projectRoutes(),
		organizationRoutes(),
		userRoutes(),
		apiKeyRoutes(),
		sshKeyRoutes(),
		userdataRoutes(),
		catalogueRoutes(),
		capacityRoutes(),
		hardwareReservationRoutes(),
		spotRoutes(),
		virtualNetworkRoutes(),
		portRoutes(),
		vlanAssignmentRoutes(),
		metalGatewayRoutes(),
		vrfRoutes(),
	)
}
