// Package packet is the Packet (later Equinix Metal) API for Go: the types
// that travel over its wire, a client, and the names that the Kubernetes
// stack gives to things in it (provider IDs and tags).
//
// The types are shared by the client and by the API server of this
// repository. Their JSON keys are those of the last public OpenAPI document.
// Three rules hold for all of them:
//
//   - A value that can be absent is a pointer, or has omitempty.
//   - An object inside another one may be shortened to {"href": "…"}, because
//     the API expands it only when it was asked to with Include. Such an
//     object then has nothing but its Href.
//   - A list without omitempty is always written, so whoever fills one makes
//     it an empty slice rather than nil; null is no list to most clients.
//
// The client treats a failed read as an error and never as an absence: see
// IsNotFound.
package packet
