package store

import "strings"

// Contents says when something last came into a project or an organization.
// Whoever deletes one of these needs to know: a record that another process
// makes in it at the same moment would be left without an owner.
type Contents struct {
	// Of is the group of what is in it: see InProject and InOrganization.
	Of string `json:"of"`
}

// InOrganization names the group of an organization's projects.
func InOrganization(id string) string { return "organization/" + id }

func (s *Snapshot) registerContents() {
	register(s, &s.Contents, "contents/", Table[Contents]{
		id: func(v *Contents) string { return v.Of },
	})
}

// Enter makes a transaction depend on that a project or an organization still
// exists, which the group of its contents names, and notes that something
// came into it. Create does so for the groups of the new record.
func (tx *Tx) Enter(group string) {
	kind, id, _ := strings.Cut(group, "/")
	switch kind + "/" {
	case InProject(""):
		enter(tx, &tx.Projects, id, group)
	case InOrganization(""):
		enter(tx, &tx.Organizations, id, group)
	}
}

func enter[T any](tx *Tx, parents *Table[T], id, group string) {
	key := parents.prefix + id
	if row, ok := parents.Get(id); ok {
		parents.Require(tx, row)
	} else if _, made := tx.written[key]; !made {
		// Whoever makes a record without its parent must at least be right
		// about that.
		tx.requireAbsent(key)
	}
	contents := &Contents{Of: group}
	tx.Contents.write(tx, group, contents)
}

// Leave makes a transaction, which deletes a project or an organization,
// depend on that nothing came into it since its contents were read.
func (tx *Tx) Leave(group string) {
	if row, ok := tx.Contents.Get(group); ok {
		tx.Contents.Delete(tx, row)
		return
	}
	tx.requireAbsent(tx.Contents.prefix + group)
}
