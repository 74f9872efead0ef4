// Package admission has no code: the admission component is what its packages validator and mutator make. The tests here are of both
// together, behind a real gardener-apiserver, with the files of example/ and with every mistake that docs/gardener/admission.md has.
package admission
