package ignition

import (
	"fmt"
	"strings"

	"github.com/flatcar/ignition/config/v2_4"
	"github.com/flatcar/ignition/config/v2_4/types"
)

// rootFilesystem is what version 2 calls the file system that a machine has.
const rootFilesystem = "root"

// parse2 reads a document of version 2.
func parse2(document []byte) (types.Config, []string, error) {
	parsed, report, err := v2_4.Parse(document)
	var warnings []string
	for _, entry := range report.Entries {
		warnings = append(warnings, entry.Message)
	}
	if err != nil {
		return parsed, nil, fmt.Errorf("the Ignition document is invalid: %w: %s", err, strings.Join(warnings, "; "))
	}
	return parsed, warnings, nil
}

// convert2 puts a document of version 2 into our words.
func convert2(c types.Config) (*config, error) {
	result := &config{}
	filesystems := map[string]string{rootFilesystem: "/"}
	for i, one := range c.Storage.Filesystems {
		result.simulate("storage.filesystems[%d] (%s)", i, one.Name)
		if one.Path != nil {
			filesystems[one.Name] = *one.Path
		} else if one.Mount != nil {
			// Ignition mounts it while it writes files, so it has no place later.
			filesystems[one.Name] = ""
		}
	}
	for i, one := range c.Storage.Disks {
		result.simulate("storage.disks[%d] (%s)", i, one.Device)
	}
	for i, one := range c.Storage.Raid {
		result.simulate("storage.raid[%d] (%s)", i, one.Name)
	}
	for _, one := range c.Networkd.Units {
		result.simulate("networkd unit %s", one.Name)
	}
	place := func(field string, n types.Node, mode *int) (node, error) {
		root, known := filesystems[n.Filesystem]
		if !known {
			return node{}, fmt.Errorf("%s.filesystem is %q, it must be root or the name of one of storage.filesystems", field, n.Filesystem)
		}
		if root == "" {
			result.simulate("%s (%s), which is on the file system %s", field, n.Path, n.Filesystem)
		}
		return node{
			field: field, path: strings.TrimSuffix(root, "/") + n.Path, mode: mode, overwrite: n.Overwrite,
			owner: ownerOf(deref(n.User).Name, deref(n.User).ID, deref(n.Group).Name, deref(n.Group).ID),
		}, nil
	}
	for i, one := range c.Storage.Directories {
		at, err := place(fmt.Sprintf("storage.directories[%d]", i), one.Node, one.Mode)
		if err != nil {
			return nil, err
		}
		if filesystems[one.Filesystem] != "" {
			result.directories = append(result.directories, directory{at})
		}
	}
	for i, one := range c.Storage.Files {
		at, err := place(fmt.Sprintf("storage.files[%d]", i), one.Node, one.Mode)
		if err != nil {
			return nil, err
		}
		if filesystems[one.Filesystem] == "" {
			continue
		}
		contents := resource2(at.field+".contents", one.Contents.Source, one.Contents.Compression, one.Contents.Verification, one.Contents.HTTPHeaders)
		added := file{node: at, replaces: true}
		if one.Append {
			added.appended = []resource{contents}
		} else {
			added.contents = &contents
		}
		result.files = append(result.files, added)
	}
	for i, one := range c.Storage.Links {
		at, err := place(fmt.Sprintf("storage.links[%d]", i), one.Node, nil)
		if err != nil {
			return nil, err
		}
		if filesystems[one.Filesystem] != "" {
			result.links = append(result.links, link{node: at, target: one.Target, hard: one.Hard})
		}
	}
	convertAccounts2(result, c.Passwd)
	for i, one := range c.Systemd.Units {
		added := unit{field: fmt.Sprintf("systemd.units[%d]", i), name: one.Name, dropIns: map[string]string{}, enabled: one.Enabled, mask: one.Mask}
		if one.Contents != "" {
			added.contents = &one.Contents
		}
		if one.Enable {
			added.enabled = &one.Enable
		}
		for _, dropIn := range one.Dropins {
			added.dropIns[dropIn.Name] = dropIn.Contents
		}
		result.units = append(result.units, added)
	}
	return result, nil
}

func convertAccounts2(result *config, passwd types.Passwd) {
	for i, one := range passwd.Groups {
		result.groups = append(result.groups, group{field: fmt.Sprintf("passwd.groups[%d]", i), name: one.Name, id: one.Gid})
	}
	for i, one := range passwd.Users {
		added := user{
			field: fmt.Sprintf("passwd.users[%d]", i), name: one.Name, gecos: one.Gecos, home: one.HomeDir, shell: one.Shell,
			primaryGroup: one.PrimaryGroup, id: one.UID, noHome: one.NoCreateHome,
		}
		if old := one.Create; old != nil {
			// Until 2.1 what a user is was in a part of its own.
			added.gecos, added.home, added.shell, added.primaryGroup = old.Gecos, old.HomeDir, old.Shell, old.PrimaryGroup
			added.id, added.noHome = old.UID, old.NoCreateHome
			for _, name := range old.Groups {
				added.groups = append(added.groups, string(name))
			}
		}
		for _, name := range one.Groups {
			added.groups = append(added.groups, string(name))
		}
		for _, key := range one.SSHAuthorizedKeys {
			added.keys = append(added.keys, string(key))
		}
		result.users = append(result.users, added)
	}
}

func resource2(field, source, compression string, verification types.Verification, headers types.HTTPHeaders) resource {
	r := resource{field: field, source: source, compression: compression, hash: deref(verification.Hash), headers: map[string]string{}}
	for _, header := range headers {
		r.headers[header.Name] = header.Value
	}
	return r
}

func (c *config) simulate(format string, args ...any) {
	c.simulated = append(c.simulated, fmt.Sprintf(format, args...))
}
