package apiserver_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"
)

func identityScenarios() map[string]scenario {
	return map[string]scenario{
		"projects":      projectScenario,
		"organizations": organizationScenario,
		"users":         userScenario,
		"API keys":      apiKeyScenario,
		"SSH keys":      sshKeyScenario,
		"events":        eventScenario,
		"user data":     userdataScenario,
	}
}

// expect fails the test for an error where none should be.
func expect(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// expectStatus fails the test for an answer of another status.
func expectStatus(t *testing.T, what string, answer *http.Response, status int) {
	t.Helper()
	if answer == nil || answer.StatusCode != status {
		t.Errorf("%s: %+v, want status %d", what, answer, status)
	}
}

func projectScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	made, _, err := r.sdk.ProjectsApi.CreateProject(ctx).Include([]string{"organization"}).ProjectCreateFromRootInput(
		metalv1.ProjectCreateFromRootInput{Name: "made", Tags: []string{"a"}, Customdata: map[string]any{"key": "value"}}).Execute()
	expect(t, "create", err)
	if made.GetName() != "made" || made.Organization.GetName() == "" || !slices.Equal(made.Tags, []string{"a"}) {
		t.Errorf("made %+v, want the name, the tag and the whole organization", made)
	}
	_, answer, _ := r.sdk.ProjectsApi.CreateProject(ctx).ProjectCreateFromRootInput(metalv1.ProjectCreateFromRootInput{Name: ""}).Execute()
	expectStatus(t, "create without a name", answer, http.StatusUnprocessableEntity)
	other := metalv1.ProjectCreateFromRootInput{Name: "x"}
	other.SetOrganizationId(uuid.NewString())
	_, answer, _ = r.sdk.ProjectsApi.CreateProject(ctx).ProjectCreateFromRootInput(other).Execute()
	expectStatus(t, "create in an unknown organization", answer, http.StatusUnprocessableEntity)

	list, _, err := r.sdk.ProjectsApi.FindProjects(ctx).Name("MAD").Execute()
	expect(t, "list", err)
	if len(list.Projects) != 1 || list.Projects[0].GetId() != made.GetId() {
		t.Errorf("projects named like MAD are %+v, want the one that was made", list.Projects)
	}
	found, _, err := r.sdk.ProjectsApi.FindProjectById(ctx, made.GetId()).Include([]string{"members"}).Execute()
	expect(t, "get", err)
	if len(found.Members) != 1 {
		t.Errorf("the project has the members %+v, want one", found.Members)
	}
	answer, err = r.sdk.ProjectsApi.FindProjectCustomdata(ctx, made.GetId()).Execute()
	expect(t, "custom data", err)
	expectStatus(t, "custom data", answer, http.StatusOK)

	update := metalv1.ProjectUpdateInput{Name: metalv1.PtrString("renamed"), BackendTransferEnabled: metalv1.PtrBool(true)}
	changed, _, err := r.sdk.ProjectsApi.UpdateProject(ctx, made.GetId()).ProjectUpdateInput(update).Execute()
	expect(t, "update", err)
	if changed.GetName() != "renamed" || !changed.GetBackendTransferEnabled() || !slices.Equal(changed.Tags, []string{"a"}) {
		t.Errorf("updated to %+v, want the new name, backend transfer, and the tag as it was", changed)
	}
	_, answer, _ = r.sdk.ProjectsApi.UpdateProject(ctx, made.GetId()).
		ProjectUpdateInput(metalv1.ProjectUpdateInput{Name: metalv1.PtrString(strings.Repeat("x", 81))}).Execute()
	expectStatus(t, "update to a name that is too long", answer, http.StatusUnprocessableEntity)
	_, err = r.sdk.ProjectsApi.DeleteProject(ctx, made.GetId()).Execute()
	expect(t, "delete", err)
	_, answer, _ = r.sdk.ProjectsApi.FindProjectById(ctx, made.GetId()).Execute()
	expectStatus(t, "get what was deleted", answer, http.StatusNotFound)

	old, _, err := r.packngo.Projects.Create(&packngo.ProjectCreateRequest{Name: "old"})
	expect(t, "create", err)
	name := "older"
	old, _, err = r.packngo.Projects.Update(old.ID, &packngo.ProjectUpdateRequest{Name: &name})
	expect(t, "update", err)
	if old.Name != "older" {
		t.Errorf("packngo renamed to %q, want older", old.Name)
	}
	_, _, err = r.packngo.Projects.Get(old.ID, nil)
	expect(t, "get", err)
	_, _, err = r.packngo.Projects.List(nil)
	expect(t, "list", err)
	_, err = r.packngo.Projects.Delete(old.ID)
	expect(t, "delete", err)
}

func organizationScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	input := metalv1.OrganizationInput{
		Name: metalv1.PtrString("made"), Website: metalv1.PtrString("https://example.com"),
		Address: &metalv1.Address{Address: "Street 1", ZipCode: "12345", Country: "DE"}, Customdata: map[string]any{"key": "value"},
	}
	made, _, err := r.sdk.OrganizationsApi.CreateOrganization(ctx).OrganizationInput(input).Execute()
	expect(t, "create", err)
	if made.GetName() != "made" || made.Address.GetCountry() != "DE" || len(made.Members) != 1 {
		t.Errorf("made %+v, want the name, the address and one member", made)
	}
	_, answer, _ := r.sdk.OrganizationsApi.CreateOrganization(ctx).OrganizationInput(metalv1.OrganizationInput{}).Execute()
	expectStatus(t, "create without a name", answer, http.StatusUnprocessableEntity)
	id := made.GetId()
	for filter, want := range map[string]int{"include": 2, "only": 1, "exclude": 1} {
		list, _, err := r.sdk.OrganizationsApi.FindOrganizations(ctx).Personal(metalv1.FindOrganizationsPersonalParameter(filter)).Execute()
		expect(t, "list", err)
		if len(list.Organizations) != want {
			t.Errorf("personal=%s lists %d organizations, want %d", filter, len(list.Organizations), want)
		}
	}
	list, _, err := r.sdk.OrganizationsApi.FindOrganizations(ctx).WithoutProjects("only").Execute()
	expect(t, "list", err)
	if len(list.Organizations) != 1 || list.Organizations[0].GetId() != id {
		t.Errorf("organizations without projects are %+v, want the new one", list.Organizations)
	}
	_, _, err = r.sdk.OrganizationsApi.FindOrganizationById(ctx, id).Include([]string{"members"}).Execute()
	expect(t, "get", err)
	_, err = r.sdk.OrganizationsApi.FindOrganizationCustomdata(ctx, id).Execute()
	expect(t, "custom data", err)
	changed, _, err := r.sdk.OrganizationsApi.UpdateOrganization(ctx, id).
		OrganizationInput(metalv1.OrganizationInput{Description: metalv1.PtrString("new")}).Execute()
	expect(t, "update", err)
	if changed.GetDescription() != "new" || changed.GetName() != "made" {
		t.Errorf("updated to %+v, want the description, and the name as it was", changed)
	}
	_, answer, _ = r.sdk.OrganizationsApi.UpdateOrganization(ctx, id).
		OrganizationInput(metalv1.OrganizationInput{Name: metalv1.PtrString(" ")}).Execute()
	expectStatus(t, "update to a blank name", answer, http.StatusUnprocessableEntity)

	project, _, err := r.sdk.OrganizationsApi.CreateOrganizationProject(ctx, id).ProjectCreateInput(metalv1.ProjectCreateInput{Name: "inside"}).Execute()
	expect(t, "create a project", err)
	_, answer, _ = r.sdk.OrganizationsApi.CreateOrganizationProject(ctx, id).ProjectCreateInput(metalv1.ProjectCreateInput{}).Execute()
	expectStatus(t, "create a project without a name", answer, http.StatusUnprocessableEntity)
	projects, _, err := r.sdk.OrganizationsApi.FindOrganizationProjects(ctx, id).Execute()
	expect(t, "projects", err)
	if len(projects.Projects) != 1 || projects.Projects[0].GetId() != project.GetId() {
		t.Errorf("the organization's projects are %+v, want the one that was made in it", projects.Projects)
	}
	activeDevice(t, r.ours, project.GetId(), order("inside"))
	devices, _, err := r.sdk.DevicesApi.FindOrganizationDevices(ctx, id).Execute()
	expect(t, "devices", err)
	if len(devices.Devices) != 1 || devices.Devices[0].GetHostname() != "inside" {
		t.Errorf("the organization's devices are %+v, want the one in its project", devices.Devices)
	}
	_, _, err = r.sdk.OrganizationsApi.FindPlansByOrganization(ctx, id).Execute()
	expect(t, "plans", err)
	_, _, err = r.sdk.FacilitiesApi.FindFacilitiesByOrganization(ctx, id).Execute()
	expect(t, "facilities", err)
	_, _, err = r.sdk.OrganizationsApi.FindOperatingSystemsByOrganization(ctx, id).Execute()
	expect(t, "operating systems", err)
	answer, _ = r.sdk.OrganizationsApi.DeleteOrganization(ctx, id).Execute()
	expectStatus(t, "delete with a project", answer, http.StatusUnprocessableEntity)

	old, _, err := r.packngo.Organizations.Create(&packngo.OrganizationCreateRequest{Name: "old"})
	expect(t, "create", err)
	name := "older"
	old, _, err = r.packngo.Organizations.Update(old.ID, &packngo.OrganizationUpdateRequest{Name: &name})
	expect(t, "update", err)
	if old.Name != "older" {
		t.Errorf("packngo renamed to %q, want older", old.Name)
	}
	_, _, err = r.packngo.Organizations.Get(old.ID, nil)
	expect(t, "get", err)
	_, _, err = r.packngo.Organizations.List(&packngo.ListOptions{PerPage: 1})
	expect(t, "list", err)
	_, _, err = r.packngo.Organizations.ListEvents(old.ID, nil)
	expect(t, "events", err)
	_, _, err = r.packngo.Plans.OrganizationList(old.ID, nil)
	expect(t, "plans", err)
	_, err = r.packngo.Organizations.Delete(old.ID)
	expect(t, "delete", err)
	last, _, err := r.sdk.OrganizationsApi.CreateOrganization(ctx).OrganizationInput(metalv1.OrganizationInput{Name: metalv1.PtrString("last")}).Execute()
	expect(t, "create", err)
	_, err = r.sdk.OrganizationsApi.DeleteOrganization(ctx, last.GetId()).Execute()
	expect(t, "delete", err)
}

func userScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	user, _, err := r.sdk.UsersApi.FindCurrentUser(ctx).Execute()
	expect(t, "current user", err)
	changed, _, err := r.sdk.UsersApi.UpdateCurrentUser(ctx).UserUpdateInput(metalv1.UserUpdateInput{
		FirstName: metalv1.PtrString("Ada"), LastName: metalv1.PtrString("Byron"), Customdata: map[string]any{"key": "value"},
	}).Execute()
	expect(t, "update", err)
	if changed.GetFullName() != "Ada Byron" || changed.GetId() != user.GetId() {
		t.Errorf("updated to %+v, want the new name", changed)
	}
	_, answer, _ := r.sdk.UsersApi.UpdateCurrentUser(ctx).UserUpdateInput(metalv1.UserUpdateInput{FirstName: metalv1.PtrString("")}).Execute()
	expectStatus(t, "update to no name", answer, http.StatusUnprocessableEntity)
	list, _, err := r.sdk.UsersApi.FindUsers(ctx).Execute()
	expect(t, "list", err)
	if len(list.Users) != 1 || list.Users[0].GetFullName() != "Ada Byron" {
		t.Errorf("users are %+v, want one", list.Users)
	}
	_, _, err = r.sdk.UsersApi.FindUserById(ctx, user.GetId()).Execute()
	expect(t, "get", err)
	_, err = r.sdk.UsersApi.FindUserCustomdata(ctx, user.GetId()).Execute()
	expect(t, "custom data", err)

	_, _, err = r.packngo.Users.Current()
	expect(t, "current user", err)
	name := "Augusta"
	_, _, err = r.packngo.Users.Update(&packngo.UserUpdateRequest{FirstName: &name})
	expect(t, "update", err)
	_, _, err = r.packngo.Users.List(nil)
	expect(t, "list", err)
	_, _, err = r.packngo.Users.Get(user.GetId(), nil)
	expect(t, "get", err)
}

func apiKeyScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	input := metalv1.AuthTokenInput{Description: metalv1.PtrString("for tests"), ReadOnly: metalv1.PtrBool(true)}
	key, _, err := r.sdk.AuthenticationApi.CreateAPIKey(ctx).AuthTokenInput(input).Execute()
	expect(t, "create", err)
	if key.GetToken() == "" || !key.GetReadOnly() || key.User == nil || key.Project != nil {
		t.Errorf("made %+v, want a read-only key of the user with its secret", key)
	}
	_, answer, _ := r.sdk.AuthenticationApi.CreateAPIKey(ctx).AuthTokenInput(
		metalv1.AuthTokenInput{AdditionalProperties: map[string]any{"read_only": "yes"}}).Execute()
	expectStatus(t, "create with a wrong read_only", answer, http.StatusUnprocessableEntity)
	list, _, err := r.sdk.AuthenticationApi.FindAPIKeys(ctx).Search("TESTS").Execute()
	expect(t, "list", err)
	if len(list.ApiKeys) != 1 || list.ApiKeys[0].GetId() != key.GetId() || list.ApiKeys[0].GetToken() != "" {
		t.Errorf("keys for tests are %+v, want the one that was made, without its secret", list.ApiKeys)
	}
	_, _, err = r.sdkWith(t, key.GetToken()).ProjectsApi.FindProjects(ctx).Execute()
	expect(t, "use", err)
	_, err = r.sdk.AuthenticationApi.DeleteUserAPIKey(ctx, key.GetId()).Execute()
	expect(t, "delete", err)
	_, answer, _ = r.sdkWith(t, key.GetToken()).ProjectsApi.FindProjects(ctx).Execute()
	expectStatus(t, "use what was deleted", answer, http.StatusUnauthorized)

	ofProject, _, err := r.sdk.AuthenticationApi.CreateProjectAPIKey(ctx, r.project).AuthTokenInput(metalv1.AuthTokenInput{}).Include([]string{"project"}).Execute()
	expect(t, "create for the project", err)
	if ofProject.Project.GetName() == "" || ofProject.User != nil {
		t.Errorf("made %+v, want the key of a project, with that in full", ofProject)
	}
	_, answer, _ = r.sdk.AuthenticationApi.CreateProjectAPIKey(ctx, r.project).AuthTokenInput(
		metalv1.AuthTokenInput{AdditionalProperties: map[string]any{"description": 1}}).Execute()
	expectStatus(t, "create with a wrong description", answer, http.StatusUnprocessableEntity)
	list, _, err = r.sdk.AuthenticationApi.FindProjectAPIKeys(ctx, r.project).Execute()
	expect(t, "list of the project", err)
	if len(list.ApiKeys) != 1 || list.ApiKeys[0].GetId() != ofProject.GetId() {
		t.Errorf("the project's keys are %+v, want the one that was made", list.ApiKeys)
	}
	_, err = r.sdk.AuthenticationApi.DeleteAPIKey(ctx, ofProject.GetId()).Execute()
	expect(t, "delete", err)

	for _, create := range []packngo.APIKeyCreateRequest{{Description: "user"}, {Description: "project", ProjectID: r.project}} {
		key, _, err := r.packngo.APIKeys.Create(&create)
		expect(t, "create", err)
		if create.ProjectID == "" {
			_, err = r.packngo.APIKeys.UserGet(key.ID, nil)
		} else {
			_, err = r.packngo.APIKeys.ProjectGet(r.project, key.ID, nil)
		}
		expect(t, "get", err)
		_, err = r.packngo.APIKeys.Delete(key.ID)
		expect(t, "delete", err)
	}
}

func sshKeyScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	device := activeDevice(t, r.ours, r.project, order("keyed"))
	input := metalv1.SSHKeyCreateInput{Label: metalv1.PtrString("mine"), Key: metalv1.PtrString(testKey), InstancesIds: []string{device.ID}}
	key, _, err := r.sdk.SSHKeysApi.CreateSSHKey(ctx).SSHKeyCreateInput(input).Execute()
	expect(t, "create", err)
	_, answer, _ := r.sdk.SSHKeysApi.CreateSSHKey(ctx).SSHKeyCreateInput(input).Execute()
	expectStatus(t, "create again", answer, http.StatusUnprocessableEntity)
	device, err = r.ours.Device(ctx, device.ID)
	expect(t, "device", err)
	if len(device.SSHKeys) != 1 || !strings.HasSuffix(device.SSHKeys[0].Href, key.GetId()) {
		t.Errorf("the device lets in %+v, want the key that was made for it", device.SSHKeys)
	}
	list, _, err := r.sdk.SSHKeysApi.FindSSHKeys(ctx).Search("min").Execute()
	expect(t, "list", err)
	if len(list.SshKeys) != 1 {
		t.Errorf("keys like min are %+v, want one", list.SshKeys)
	}
	_, _, err = r.sdk.SSHKeysApi.FindSSHKeyById(ctx, key.GetId()).Include([]string{"entity"}).Execute()
	expect(t, "get", err)
	changed, _, err := r.sdk.SSHKeysApi.UpdateSSHKey(ctx, key.GetId()).SSHKeyInput(metalv1.SSHKeyInput{Label: metalv1.PtrString("yours"), Tags: []string{"a"}}).Execute()
	expect(t, "update", err)
	if changed.GetLabel() != "yours" || changed.GetFingerprint() != key.GetFingerprint() || !slices.Equal(changed.Tags, []string{"a"}) {
		t.Errorf("updated to %+v, want the label and the tag, and the key as it was", changed)
	}
	_, answer, _ = r.sdk.SSHKeysApi.UpdateSSHKey(ctx, key.GetId()).SSHKeyInput(metalv1.SSHKeyInput{Key: metalv1.PtrString("none")}).Execute()
	expectStatus(t, "update to no key", answer, http.StatusUnprocessableEntity)
	_, err = r.sdk.SSHKeysApi.DeleteSSHKey(ctx, key.GetId()).Execute()
	expect(t, "delete", err)

	input.InstancesIds = nil
	ofProject, _, err := r.sdk.SSHKeysApi.CreateProjectSSHKey(ctx, r.project).SSHKeyCreateInput(input).Execute()
	expect(t, "create for the project", err)
	_, answer, _ = r.sdk.SSHKeysApi.CreateProjectSSHKey(ctx, r.project).SSHKeyCreateInput(metalv1.SSHKeyCreateInput{}).Execute()
	expectStatus(t, "create of nothing", answer, http.StatusUnprocessableEntity)
	list, _, err = r.sdk.SSHKeysApi.FindProjectSSHKeys(ctx, r.project).Query("mine").Execute()
	expect(t, "list of the project", err)
	if len(list.SshKeys) != 1 || list.SshKeys[0].GetId() != ofProject.GetId() {
		t.Errorf("the project's keys are %+v, want the one that was made", list.SshKeys)
	}
	_, err = r.packngo.SSHKeys.Delete(ofProject.GetId())
	expect(t, "delete", err)

	for _, project := range []string{"", r.project} {
		key, _, err := r.packngo.SSHKeys.Create(&packngo.SSHKeyCreateRequest{Label: "old", Key: testKey, ProjectID: project})
		expect(t, "create", err)
		label := "older"
		key, _, err = r.packngo.SSHKeys.Update(key.ID, &packngo.SSHKeyUpdateRequest{Label: &label})
		expect(t, "update", err)
		if key.Label != "older" {
			t.Errorf("packngo renamed to %q, want older", key.Label)
		}
		_, _, err = r.packngo.SSHKeys.Get(key.ID, nil)
		expect(t, "get", err)
		_, err = r.packngo.SSHKeys.Delete(key.ID)
		expect(t, "delete", err)
	}
	_, _, err = r.packngo.SSHKeys.List()
	expect(t, "list", err)
	_, _, err = r.packngo.SSHKeys.ProjectList(r.project)
	expect(t, "list of the project", err)
}

func eventScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	device := activeDevice(t, r.ours, r.project, order("eventful"))
	user, err := r.ours.CurrentUser(ctx)
	expect(t, "user", err)
	organization := user.DefaultOrganizationID
	all, _, err := r.sdk.EventsApi.FindEvents(ctx).PerPage(3).Include([]string{"relationships"}).Execute()
	expect(t, "events", err)
	if len(all.Events) != 3 || all.Meta.GetTotal() != 10 || all.Events[0].GetType() != "provisioning.110" {
		t.Errorf("%d of %d events, the first %+v; want 3 of 10 and the phone home", len(all.Events), all.Meta.GetTotal(), all.Events[0])
	}
	ofProject, _, err := r.sdk.EventsApi.FindProjectEvents(ctx, r.project).Execute()
	expect(t, "events of the project", err)
	ofOrganization, _, err := r.sdk.EventsApi.FindOrganizationEvents(ctx, organization).Execute()
	expect(t, "events of the organization", err)
	ofDevice, _, err := r.sdk.EventsApi.FindDeviceEvents(ctx, device.ID).Execute()
	expect(t, "events of the device", err)
	if len(ofProject.Events) != 10 || len(ofOrganization.Events) != 10 || len(ofDevice.Events) != 10 {
		t.Errorf("%d, %d and %d events, want 10 each", len(ofProject.Events), len(ofOrganization.Events), len(ofDevice.Events))
	}
	one, _, err := r.sdk.EventsApi.FindEventById(ctx, all.Events[0].GetId()).Execute()
	expect(t, "event", err)
	if one.GetBody() != all.Events[0].GetBody() {
		t.Errorf("the event is %+v, want %+v", one, all.Events[0])
	}

	events, _, err := r.packngo.Events.List(nil)
	expect(t, "events", err)
	if len(events) != 10 {
		t.Errorf("packngo lists %d events, want 10", len(events))
	}
	_, _, err = r.packngo.Events.Get(events[9].ID, nil)
	expect(t, "event", err)
	_, _, err = r.packngo.Projects.ListEvents(r.project, nil)
	expect(t, "events of the project", err)
	_, _, err = r.packngo.Devices.ListEvents(device.ID, nil)
	expect(t, "events of the device", err)
}

func userdataScenario(t *testing.T, r *rig) {
	_, err := r.sdk.UserdataApi.ValidateUserdata(t.Context()).Userdata("#cloud-config\n").Execute()
	expect(t, "good user data", err)
	answer, _ := r.sdk.UserdataApi.ValidateUserdata(t.Context()).Userdata("echo secret").Execute()
	expectStatus(t, "user data of no kind", answer, http.StatusUnprocessableEntity)
}
