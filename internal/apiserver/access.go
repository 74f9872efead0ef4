package apiserver

import (
	"net/http"
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// owner is whom an object belongs to: the one of these that is set.
type owner struct {
	project, organization string
	// user has what nobody else sees: SSH keys, API keys.
	user string
	// profile is the user itself, whom all see that share an organization.
	profile string
}

// subject finds the owner of an object by its ID; ok is false for an object
// that does not exist.
type subject func(s *store.Snapshot, id string) (o owner, ok bool)

// ownedBy makes a subject of a table and of what says in its records whom
// they belong to.
func ownedBy[T any](table func(*store.Snapshot) *store.Table[T], whose func(*T) owner) subject {
	return func(s *store.Snapshot, id string) (owner, bool) {
		row, ok := table(s).Get(id)
		if !ok {
			return owner{}, false
		}
		return whose(row.Value), true
	}
}

func ofProject(s *store.Snapshot, id string) (owner, bool) {
	_, ok := s.Projects.Get(id)
	return owner{project: id}, ok
}

func ofOrganization(s *store.Snapshot, id string) (owner, bool) {
	_, ok := s.Organizations.Get(id)
	return owner{organization: id}, ok
}

func ofUser(s *store.Snapshot, id string) (owner, bool) {
	_, ok := s.Users.Get(id)
	return owner{profile: id}, ok
}

func ofDevice(s *store.Snapshot, id string) (owner, bool) {
	row, ok := s.Devices.Get(id)
	if !ok {
		return owner{}, false
	}
	return owner{project: row.Value.ProjectID}, true
}

// ofAddress is for what the API calls an IP address: a reservation or an
// assignment.
func ofAddress(s *store.Snapshot, id string) (owner, bool) {
	if row, ok := s.Reservations.Get(id); ok {
		return owner{project: row.Value.ProjectID}, true
	}
	row, ok := s.Assignments.Get(id)
	switch {
	case !ok:
		return owner{}, false
	case row.Value.MetalGatewayID != "":
		return ofMetalGateway(s, row.Value.MetalGatewayID)
	default:
		return ofDevice(s, row.Value.DeviceID)
	}
}

func ofBGPSession(s *store.Snapshot, id string) (owner, bool) {
	row, ok := s.BGPSessions.Get(id)
	if !ok {
		return owner{}, false
	}
	return owner{project: row.Value.ProjectID}, true
}

func ofEvent(s *store.Snapshot, id string) (owner, bool) {
	row, ok := lifecycle.FindEvent(s, id)
	if !ok {
		return ofRouteEvent(s, id)
	}
	return ofDevice(s, row.Value.DeviceID)
}

func ofSSHKey(s *store.Snapshot, id string) (owner, bool) {
	row, ok := s.SSHKeys.Get(id)
	switch {
	case !ok:
		return owner{}, false
	case row.Value.ProjectID != "":
		return owner{project: row.Value.ProjectID}, true
	default:
		return owner{user: row.Value.UserID}, true
	}
}

// viewer is whoever sent a request, as far as its token says.
type viewer struct {
	token store.Token
}

// may tells whether the viewer may know of what an owner has. A project's
// token sees that project alone; a user's token sees the user, the
// organizations that the user is a member of, and their projects.
func (v viewer) may(s *store.Snapshot, o owner) bool {
	if v.token.ProjectID != "" {
		return o.project == v.token.ProjectID
	}
	switch {
	case o.project != "":
		row, ok := s.Projects.Get(o.project)
		return ok && isMember(s, row.Value.OrganizationID, v.token.UserID)
	case o.organization != "":
		return isMember(s, o.organization, v.token.UserID)
	case o.user != "":
		return o.user == v.token.UserID
	case o.profile != "":
		return o.profile == v.token.UserID || shareOrganization(s, o.profile, v.token.UserID)
	}
	return false
}

// mayProject tells whether the viewer may know of a project and of all that
// is in it.
func (v viewer) mayProject(s *store.Snapshot, id string) bool {
	return v.may(s, owner{project: id})
}

// mustBeUser refuses what a user alone may do: the key of a project speaks for
// nobody, and must not get at what belongs to whoever made it.
func (r *request) mustBeUser() error {
	if r.token.ProjectID != "" {
		return refuse(http.StatusForbidden, "This is the API key of a project: only the API key of a user allows this")
	}
	return nil
}

func isMember(s *store.Snapshot, organizationID, userID string) bool {
	if user, ok := s.Users.Get(userID); ok && user.Value.OrganizationID == organizationID {
		return true
	}
	organization, ok := s.Organizations.Get(organizationID)
	return ok && slices.Contains(organization.Value.Members, userID)
}

func shareOrganization(s *store.Snapshot, userID, otherID string) bool {
	return slices.ContainsFunc(s.Organizations.All(), func(row *store.Row[store.Organization]) bool {
		return isMember(s, row.Value.ID, userID) && isMember(s, row.Value.ID, otherID)
	})
}

// changesNothing tells the operations that only ask, although their method is
// not GET.
func changesNothing(operation string) bool {
	return slices.Contains([]string{"checkCapacityForFacility", "checkCapacityForMetro", "validateUserdata"}, operation)
}

// authorize refuses what the token of a request does not allow. What its
// holder may not see does not exist for it, so that nothing can be guessed.
func authorize(s *store.Snapshot, op *operation, req *http.Request, token *store.Token) error {
	if op.of != nil {
		o, ok := op.of(s, req.PathValue(op.parameter))
		if !ok || !(viewer{*token}).may(s, o) {
			return errNotFound()
		}
	}
	if token.ReadOnly && !op.reads {
		return refuse(http.StatusForbidden, "This token is read-only: it does not allow %s", op.Operation)
	}
	return nil
}
