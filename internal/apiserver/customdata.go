package apiserver

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// answerCustomData shows nothing but the custom data of the object that the
// request names: a JSON object, empty where there is none.
func answerCustomData[T any](
	a *API, r *request, table func(*store.Snapshot) *store.Table[T], of func(*T) json.RawMessage,
) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := table(s).Get(r.id())
		if !ok {
			return errNotFound()
		}
		answer = response{status: http.StatusOK, body: orObject(of(row.Value))}
		return nil
	})
	return answer, err
}

// latest is when a record was changed, which those of earlier versions of the
// server do not say.
func latest(createdAt, updatedAt time.Time) *packet.Timestamp {
	if updatedAt.IsZero() {
		return packet.NewTimestamp(createdAt)
	}
	return packet.NewTimestamp(updatedAt)
}
