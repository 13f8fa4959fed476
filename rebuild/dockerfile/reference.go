package dockerfile

import "strings"

// Kind says what the build takes an image for.
type Kind string

// The kinds of references.
const (
	// FinalBase is what the last stage stands on, through all stages between.
	FinalBase Kind = "final-base"
	// StageBase is what another stage stands on, needed by the last one or not.
	StageBase Kind = "stage-base"
	// CopyFrom is an image that files are copied from.
	CopyFrom Kind = "copy-from"
	// MountFrom is an image that is mounted while a command runs.
	MountFrom Kind = "mount-from"
	// Syntax is the frontend that reads the file.
	Syntax Kind = "syntax"
)

// Reference is one place of a file that names an image. It is split, not
// checked: whether Image and Digest are well-formed is for its user to say.
type Reference struct {
	// Image is the name as it is written, with variables expanded and without
	// tag and digest: alpine, ghcr.io/acme/base.
	Image string
	// Tag is empty if none is written: latest, or any if there is a Digest.
	Tag string
	// Digest is the pin, sha256:…, or empty.
	Digest string
	Kind   Kind
	// Line is where to change it, from 1: that of the ARG whose default is the
	// whole reference or has the digest, else that of the instruction's begin.
	Line int
}

// Tagged is the reference without its digest.
func (r Reference) Tagged() string {
	if r.Tag == "" {
		return r.Image
	}
	return r.Image + ":" + r.Tag
}

// String is the reference as it is written, with variables expanded.
func (r Reference) String() string {
	if r.Digest == "" {
		return r.Tagged()
	}
	return r.Tagged() + "@" + r.Digest
}

// Unresolved is a place of a file that names an image which cannot be told from
// the file alone.
type Unresolved struct {
	// Written is the text with its variables.
	Written string
	Kind    Kind
	// Line is that of the instruction's begin, from 1.
	Line int
	// Needs are the build arguments that would help, sorted; often one.
	Needs []string
	// Reason is for people: "needs build-arg BASE".
	Reason string
}

// newReference splits name[:tag][@digest]. A colon before the last slash is the
// port of a host.
func newReference(s string) Reference {
	var r Reference
	r.Image, r.Digest, _ = strings.Cut(s, "@")
	if i := strings.LastIndexByte(r.Image, ':'); i > strings.LastIndexByte(r.Image, '/') {
		r.Image, r.Tag = r.Image[:i], r.Image[i+1:]
	}
	return r
}
