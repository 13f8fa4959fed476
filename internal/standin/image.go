package standin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image says what a push brings. The same Image makes the same digests at every
// registry.
type Image struct {
	// Platforms has a seed for each platform, such as "linux/arm/v6" or
	// "windows/amd64:10.0.20348.1": a platform's digest moves when its seed
	// does, and only then.
	Platforms map[string]string
	// Attestations is the seed of the attestation manifests, one for each
	// platform, as BuildKit adds them; empty: none.
	Attestations string
	// Annotations stand on each platform's entry in the index,
	// IndexAnnotations on the index.
	Annotations      map[string]string
	IndexAnnotations map[string]string
	// Labels and Created are in each platform's config blob; zero: 2026-01-01.
	Labels  map[string]string
	Created time.Time
	// Docker makes the platforms' manifests Docker v2 ones inside an OCI index,
	// as golang:alpine has them; DockerList makes the index a Docker list too.
	Docker, DockerList bool
	// Single pushes the only platform's manifest without an index.
	Single bool
}

// document is a stored manifest or index.
type document struct {
	digest    string
	mediaType string
	body      []byte
}

// packed is what one Image is made of.
type packed struct {
	top   document
	docs  []document
	blobs map[string][]byte
}

func pack(img Image, layer blob) packed {
	p := packed{blobs: map[string][]byte{layer.digest: layer.body}}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: img.IndexAnnotations}
	if img.DockerList {
		index.MediaType = types.DockerManifestList
	}
	var attestations []v1.Descriptor
	for _, platform := range slices.Sorted(maps.Keys(img.Platforms)) {
		doc := p.platform(img, platform, layer)
		index.Manifests = append(index.Manifests, describe(doc, parsePlatform(platform), img.Annotations))
		if img.Attestations != "" {
			attestations = append(attestations, p.attestation(img.Attestations, doc.digest))
		}
		p.top = doc
	}
	if !img.Single {
		index.Manifests = append(index.Manifests, attestations...)
		p.top = p.add(string(index.MediaType), index)
	}
	return p
}

func (p *packed) platform(img Image, platform string, layer blob) document {
	family := struct{ manifest, config, layer types.MediaType }{types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer}
	if img.Docker || img.DockerList {
		family.manifest, family.config, family.layer = types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer
	}
	created := img.Created
	if created.IsZero() {
		created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	pl := parsePlatform(platform)
	config := p.blob(v1.ConfigFile{
		OS: pl.OS, Architecture: pl.Architecture, Variant: pl.Variant, OSVersion: pl.OSVersion,
		Created: v1.Time{Time: created},
		Config:  v1.Config{Labels: img.Labels},
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{hash(layer.diffID)}},
		History: []v1.History{{Created: v1.Time{Time: created}, CreatedBy: "seed " + img.Platforms[platform]}},
	})
	return p.add(string(family.manifest), v1.Manifest{
		SchemaVersion: 2, MediaType: family.manifest,
		Config: v1.Descriptor{MediaType: family.config, Size: config.size(), Digest: hash(config.digest)},
		Layers: []v1.Descriptor{{MediaType: family.layer, Size: layer.size(), Digest: hash(layer.digest)}},
	})
}

// attestation adds what BuildKit adds: a manifest that is no image, listed as
// unknown/unknown, with an annotation that says whose it is.
func (p *packed) attestation(seed, of string) v1.Descriptor {
	statement := p.blob(map[string]any{"_type": "https://in-toto.io/Statement/v0.1", "subject": of, "invocation": seed})
	config := p.blob(v1.ConfigFile{
		OS: "unknown", Architecture: "unknown",
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{hash(statement.digest)}},
	})
	doc := p.add(string(types.OCIManifestSchema1), v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: config.size(), Digest: hash(config.digest)},
		Layers: []v1.Descriptor{{
			MediaType: "application/vnd.in-toto+json", Size: statement.size(), Digest: hash(statement.digest),
			Annotations: map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
		}},
	})
	return describe(doc, v1.Platform{OS: "unknown", Architecture: "unknown"}, map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": of,
	})
}

func (p *packed) add(mediaType string, v any) document {
	body := encodeJSON(v)
	doc := document{digest: digestOf(body), mediaType: mediaType, body: body}
	p.docs = append(p.docs, doc)
	return doc
}

func (p *packed) blob(v any) blob {
	body := encodeJSON(v)
	b := blob{digest: digestOf(body), body: body}
	p.blobs[b.digest] = body
	return b
}

func describe(d document, p v1.Platform, annotations map[string]string) v1.Descriptor {
	return v1.Descriptor{
		MediaType: types.MediaType(d.mediaType), Size: int64(len(d.body)), Digest: hash(d.digest),
		Platform: &p, Annotations: annotations,
	}
}

// parsePlatform reads os/arch[/variant][:os.version].
func parsePlatform(s string) v1.Platform {
	s, version, _ := strings.Cut(s, ":")
	parts := append(strings.SplitN(s, "/", 3), "", "")
	return v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2], OSVersion: version}
}

// blob is stored content; diffID is of a layer's uncompressed bytes.
type blob struct {
	digest, diffID string
	body           []byte
}

func (b blob) size() int64 { return int64(len(b.body)) }

// newLayer makes the one small layer that all images share: what moves a digest
// is the seed in the config.
func newLayer() blob {
	var plain, packed bytes.Buffer
	tw := tar.NewWriter(&plain)
	content := []byte("stand-in\n")
	_ = tw.WriteHeader(&tar.Header{Name: "etc/stand-in", Mode: 0o644, Size: int64(len(content))})
	_, _ = tw.Write(content)
	_ = tw.Close()
	zw := gzip.NewWriter(&packed)
	_, _ = zw.Write(plain.Bytes())
	_ = zw.Close()
	return blob{digest: digestOf(packed.Bytes()), diffID: digestOf(plain.Bytes()), body: packed.Bytes()}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func hash(digest string) v1.Hash {
	algorithm, h, _ := strings.Cut(digest, ":")
	return v1.Hash{Algorithm: algorithm, Hex: h}
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own types come here, and they encode
	}
	return b
}
