// Package admission holds the webhooks of the Packet infrastructure types. Most rules are in the CustomResourceDefinitions,
// where they hold without any manager: here is only what they cannot express. Nothing is defaulted here, since
// definitions can do that too.
//
// Every rejection names the field, its value and what is allowed. An update that leaves the specification as it is always
// passes, also if a rule is younger than the object: nothing may keep a controller from taking its finalizer away.
package admission
