package apiserver_test

import "testing"

func catalogueScenarios() map[string]scenario {
	return map[string]scenario{"catalogue": catalogueScenario}
}

func catalogueScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	metros, _, err := r.sdk.MetrosApi.FindMetros(ctx).Execute()
	must("metros", err)
	_, _, err = r.sdk.MetrosApi.GetMetro(ctx, metros.GetMetros()[0].GetId()).Execute()
	must("metro", err)
	_, _, err = r.sdk.FacilitiesApi.FindFacilities(ctx).Execute()
	must("facilities", err)
	_, _, err = r.sdk.FacilitiesApi.FindFacilitiesByProject(ctx, r.project).Execute()
	must("facilities of the project", err)
	_, _, err = r.sdk.PlansApi.FindPlans(ctx).Execute()
	must("plans", err)
	_, _, err = r.sdk.PlansApi.FindPlansByProject(ctx, r.project).Execute()
	must("plans of the project", err)
	_, _, err = r.sdk.OperatingSystemsApi.FindOperatingSystems(ctx).Execute()
	must("operating systems", err)

	_, _, err = r.packngo.Metros.List(nil)
	must("metros", err)
	_, _, err = r.packngo.Facilities.List(nil)
	must("facilities", err)
	_, _, err = r.packngo.Plans.List(nil)
	must("plans", err)
	_, _, err = r.packngo.Plans.ProjectList(r.project, nil)
	must("plans of the project", err)
	_, _, err = r.packngo.OperatingSystems.List()
	must("operating systems", err)
}
