// Package webhookcerts gives a manager the certificates of its webhooks without any other software: no cert-manager, no
// mounted Secret, no file.
//
// A certificate authority and a serving certificate live in one Secret, which any number of replicas share: whoever creates
// it first wins, the others read it. The serving certificate is handed to the TLS server from memory, and the authority's
// certificate is written into every webhook configuration and CustomResourceDefinition that carries InjectLabel, so that the
// API server trusts it. Both are renewed long before they expire, and while an authority is being replaced the API server
// trusts the old one too.
package webhookcerts
