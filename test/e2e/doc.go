// Package e2e brings up whole yards with the programs of a build, as a user
// does, and checks what the README promises of them.
//
// The tests are behind the build tag e2e and need a build: `make e2e`. They
// run as root and as an unprivileged user. PACKETYARD_BIN names the folder of
// the programs.
package e2e
