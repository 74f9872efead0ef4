package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"slices"
)

// machines are the architectures that images can be for, by Go's names.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
	"ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

func architectures() []string { return slices.Sorted(maps.Keys(machines)) }

// readProgram reads a program and sees to it that it can run in an image that
// has nothing else: it is for the architecture, and asks for no loader.
func readProgram(b platformProgram) ([]byte, error) {
	program, err := os.ReadFile(b.file)
	if err != nil {
		return nil, fmt.Errorf("reading the program for %s: %w", b.platform, err)
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("%s is no program for Linux: %w", b.file, err)
	}
	if want := machines[b.platform.Architecture]; file.Machine != want {
		return nil, fmt.Errorf("%s is for %s, and the image is for %s (%s)", b.file, file.Machine, b.platform, want)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s needs a C library, and the image has none: build it with CGO_ENABLED=0", b.file)
		}
	}
	return program, nil
}
