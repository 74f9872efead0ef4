package ccm

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestReadConfig(t *testing.T) {
	const url = "http://198.18.0.1/metal/v1"
	want := packet.Credentials{APIURL: url, APIToken: testToken, ProjectID: testProject}
	file := `{"apiKey": "` + testToken + `", "projectID": "` + testProject + `", "base-url": "` + url + `"}`
	for _, test := range []struct {
		name   string
		file   string
		env    map[string]string
		want   packet.Credentials
		unused []string
		// wrong is what the error must mention.
		wrong []string
	}{
		{name: "file", file: file, want: want},
		{name: "file with the other spelling", file: strings.Replace(file, "projectID", "projectId", 1), want: want},
		{name: "environment", env: map[string]string{"PACKET_API_TOKEN": testToken, "PACKET_PROJECT_ID": testProject, "PACKET_API_URL": url}, want: want},
		{name: "environment of the original", env: map[string]string{"METAL_API_KEY": testToken, "METAL_PROJECT_ID": testProject, "PACKET_API_URL": url}, want: want},
		{name: "environment before file", file: file, env: map[string]string{"PACKET_API_URL": "http://other/metal/v1"},
			want: packet.Credentials{APIURL: "http://other/metal/v1", APIToken: testToken, ProjectID: testProject}},
		{name: "the original's keys", file: strings.Replace(file, "{", `{"loadbalancer": "", "metro": "da", "localASN": 65000, `, 1), want: want,
			unused: []string{"loadbalancer", "localASN", "metro"}},
		{name: "nothing", wrong: []string{"PACKET_API_URL", "PACKET_API_TOKEN", "PACKET_PROJECT_ID", "apiKey", "base-url"}},
		{name: "everything", file: `{"apiKey": 5, "projectID": "default", "base-url": "api.packet.net", "projekt": "x"}`,
			wrong: []string{`"apiKey"`, "not a string", `"default"`, "UUID", "http and https", `"projekt"`, "PACKET_API_TOKEN"}},
		{name: "two projects", file: strings.Replace(file, "{", `{"projectId": "00000000-0000-4000-8000-000000000001", `, 1), wrong: []string{"twice"}},
		{name: "no JSON", file: testToken, wrong: []string{"not JSON"}},
		{name: "no object", file: `["` + testToken + `"]`, wrong: []string{"not a JSON object"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var file io.Reader
			if test.file != "" {
				file = strings.NewReader(test.file)
			}
			got, err := readConfig(file, func(key string) string { return test.env[key] })
			if len(test.wrong) == 0 {
				if err != nil || got.credentials != test.want || !slices.Equal(got.unused, test.unused) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			for _, text := range test.wrong {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not mention %q", err, text)
				}
			}
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("error %q shows the token", err)
			}
		})
	}
}
