package admission_test

import "testing"

const poolMachine = "template: {spec: {os: a, machineType: b}}"

func TestPoolsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		strategy string
		want     []string
	}{
		"type":                       {"{type: Recreate}", []string{"spec.strategy.type", `"Recreate"`, `"RollingUpdate", "OnDelete"`}},
		"delete policy":              {"{deletePolicy: Biggest}", []string{"spec.strategy.deletePolicy", `"Biggest"`, `"Random", "Newest", "Oldest"`}},
		"rolling update by deletion": {"{type: OnDelete, rollingUpdate: {maxSurge: 1}}", []string{"spec.strategy.rollingUpdate", "type OnDelete", "RollingUpdate"}},
		"negative surge":             {"{rollingUpdate: {maxSurge: -1}}", []string{"spec.strategy.rollingUpdate.maxSurge", "-1", "a number from 0 to 10000, or a percentage"}},
		"surge beyond reckoning":     {"{rollingUpdate: {maxSurge: 99999999999}}", []string{"spec.strategy.rollingUpdate.maxSurge", "99999999999", "0 to 10000"}},
		"surge of no number":         {"{rollingUpdate: {maxSurge: all}}", []string{"spec.strategy.rollingUpdate.maxSurge", "all", "a percentage"}},
		"unavailable of no number":   {"{rollingUpdate: {maxUnavailable: some}}", []string{"spec.strategy.rollingUpdate.maxUnavailable", "some", "a percentage"}},
		"a standstill":               {"{rollingUpdate: {maxSurge: 0}}", []string{"spec.strategy.rollingUpdate.maxUnavailable", "no machine could ever be replaced"}},
		"a standstill in percent":    {"{rollingUpdate: {maxSurge: 0%, maxUnavailable: 0%}}", []string{"spec.strategy.rollingUpdate.maxUnavailable", "no machine could ever be replaced"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, api.Create(t.Context(), object(t, "PacketMachinePool", nameOf(t), "spec: {"+poolMachine+", strategy: "+test.strategy+"}")), test.want...)
		})
	}
}

func TestPoolsThatAreAccepted(t *testing.T) {
	for name, strategy := range map[string]string{
		"surge":       "{type: RollingUpdate, rollingUpdate: {maxSurge: 2, maxUnavailable: 0}, deletePolicy: Newest}",
		"unavailable": "{rollingUpdate: {maxSurge: 0, maxUnavailable: 50%}}",
		"deletion":    "{type: OnDelete}",
	} {
		t.Run(name, func(t *testing.T) {
			if err := api.Create(t.Context(), object(t, "PacketMachinePool", nameOf(t), "spec: {"+poolMachine+", strategy: "+strategy+"}")); err != nil {
				t.Errorf("it was refused: %v", err)
			}
		})
	}
}

// The machines of a pool are replaced when its template changes, so it may.
func TestPoolUpdates(t *testing.T) {
	o := object(t, "PacketMachinePool", nameOf(t), "spec: {"+poolMachine+"}")
	if err := api.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	updated(t, o, "{template: {spec: {os: a, machineType: b, sshKeys: [x]}}}", []string{"spec.template.spec.sshKeys[0]", `"x"`})
	updated(t, o, "{template: {spec: {os: b, machineType: c}}, providerIDList: ['packet://"+deviceUUID+"']}", nil)
}

func TestRemediations(t *testing.T) {
	for name, test := range map[string]struct {
		strategy string
		want     []string
	}{
		"nothing":     {"{}", []string{"strategy"}},
		"no step":     {"{steps: []}", []string{"strategy.steps", "at least 1 items"}},
		"step":        {"{steps: [Reboot, Explode]}", []string{"strategy.steps[1]", `"Explode"`, `"Reboot", "PowerCycle", "Reinstall"`}},
		"no tries":    {"{retryLimit: 0}", []string{"strategy.retryLimit", "0", "1"}},
		"timeout":     {"{timeout: soon}", []string{"strategy.timeout", `"soon"`}},
		"an age":      {"{timeout: 99999999999h}", []string{"strategy.timeout", `"99999999999h"`, "[0-9]{1,6}"}},
		"an eternity": {"{reinstallTimeout: 876000h}", []string{"strategy.reinstallTimeout", `"876000h"`, "at most 87600h"}},
		"all of it":   {"{steps: [Reboot, PowerCycle, Reinstall], retryLimit: 2, timeout: 10m, reinstallTimeout: 1h}", nil},
		"the default": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			spec := "{}"
			if test.strategy != "" {
				spec = "{strategy: " + test.strategy + "}"
			}
			for kind, body := range map[string]string{
				"PacketRemediation":         "spec: " + spec,
				"PacketRemediationTemplate": "spec: {template: {spec: " + spec + "}}",
			} {
				err := api.Create(t.Context(), object(t, kind, nameOf(t), body))
				if test.want != nil {
					refused(t, err, test.want...)
				} else if err != nil {
					t.Errorf("%s was refused: %v", kind, err)
				}
			}
		})
	}
}
