package envsubst

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	values := map[string]string{"NAME": "node-1", "ZONE": "da"}
	for _, test := range []struct {
		arguments   []string
		input, want string
		code        int
	}{
		{nil, "name: $NAME-${ZONE} $UNSET $5 ${NAME", "name: node-1-da  $5 ${NAME", 0},
		{[]string{"$ZONE and ${OTHER}"}, "$NAME ${ZONE}", "$NAME da", 0},
		{[]string{"--variables", "$A ${B}"}, "", "A\nB\n", 0},
		{[]string{"a", "b"}, "", "", 1},
		{[]string{"-v"}, "", "", 1},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(test.arguments, func(name string) string { return values[name] }, strings.NewReader(test.input), &stdout, &stderr)
		if code != test.code || stdout.String() != test.want || (code != 0) != (stderr.Len() > 0) {
			t.Errorf("envsubst %q ends with %d and writes %q, want %d and %q (%s)", test.arguments, code, stdout.String(), test.code, test.want, stderr.String())
		}
	}
}
