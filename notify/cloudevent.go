package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/watcher"
)

const (
	// payloadLimit bounds an event on the wire, in bytes: Standard Webhooks asks
	// for less than 20 kB.
	payloadLimit = 19 << 10
	// payloadPlatforms and payloadText are what is kept of the parts of an event
	// that is too large as it stands.
	payloadPlatforms = 32
	payloadText      = 1024
)

// cloudEvent is the machine's view of an event: CloudEvents 1.0, structured
// mode. docs/webhook.md is its reference.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            string    `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            eventData `json:"data"`
}

// eventData is the same for every type; fields that a type has no use for are
// null or, from Platforms on, left out.
type eventData struct {
	Image    string        `json:"image"` // empty: about a host, a receiver …
	Seq      uint64        `json:"seq"`
	Class    *string       `json:"class"`
	Partial  bool          `json:"partial"`
	Rollback bool          `json:"rollback"`
	Old      *snapshotData `json:"old"`
	New      *snapshotData `json:"new"`
	// What an inspection would find. Null says that it is not known, which an
	// empty list would not.
	Cause         *struct{}           `json:"cause"`
	Packages      []struct{}          `json:"packages"`
	PackagesTotal *int                `json:"packages_total"`
	Advisories    []struct{}          `json:"advisories"`
	Details       string              `json:"details"`
	Dependents    []struct{}          `json:"dependents"`
	Labels        map[string][]string `json:"labels"`
	LateSeconds   int64               `json:"late_seconds"`
	Platforms     []string            `json:"platforms,omitempty"`
	Awaiting      []string            `json:"awaiting,omitempty"`
	Problem       string              `json:"problem,omitempty"`
	Reason        string              `json:"reason,omitempty"`
	Since         string              `json:"since,omitempty"`
	Receiver      string              `json:"receiver,omitempty"`
	Family        string              `json:"family,omitempty"`
	Truncated     bool                `json:"truncated,omitempty"`
	URL           string              `json:"url,omitempty"`
}

type snapshotData struct {
	Digest    string            `json:"digest"`
	Platforms map[string]string `json:"platforms"`
	Version   string            `json:"version,omitempty"`
	Revision  string            `json:"revision,omitempty"`
	FirstSeen string            `json:"first_seen,omitempty"`
}

// details says whether a report is in the event, or follows: neither, as long
// as nothing inspects.
const details = "unavailable"

func newCloudEvent(d outbox.Delivery, o Options) cloudEvent {
	e := d.Event
	source := "/basewatch/" + url.PathEscape(o.Instance)
	if o.PublicURL != "" {
		source = strings.TrimRight(o.PublicURL, "/") + "/" + url.PathEscape(o.Instance)
	}
	return cloudEvent{
		SpecVersion: "1.0", ID: e.Key, Source: source, Type: "basewatch." + string(e.Kind) + ".v1",
		Subject: e.Ref, Time: stamp(e.At), DataContentType: "application/json",
		Data: eventData{
			Image: image(e), Seq: e.Seq, Partial: e.Partial, Rollback: e.Rollback,
			Old: newSnapshotData(e.Old), New: newSnapshotData(e.New),
			Details: details, Dependents: []struct{}{}, Labels: labels(e.Labels), LateSeconds: lateSeconds(d.Outage),
			Platforms: e.Platforms, Awaiting: e.Awaiting, Problem: string(e.Problem),
			Reason: text.Plain(e.Reason, payloadText), Since: stamp(e.Since), Receiver: e.Receiver, Family: e.Family,
			URL: changeURL(e, o.PublicURL),
		},
	}
}

func image(e watcher.Event) string {
	if aboutImage(e) {
		return e.Ref
	}
	return ""
}

func newSnapshotData(s *watcher.Snapshot) *snapshotData {
	if s == nil {
		return nil
	}
	data := &snapshotData{
		Digest: s.Index, Platforms: map[string]string{}, FirstSeen: stamp(s.SeenAt),
		Version: annotation(s, annotationVersion), Revision: annotation(s, annotationRevision),
	}
	for p, m := range s.Platforms {
		data.Platforms[p] = m.Digest
	}
	return data
}

// changeURL is the page of a change: /i/ and the reference, its tag as a path
// segment, and the number.
func changeURL(e watcher.Event, public string) string {
	if public == "" || e.Seq == 0 {
		return ""
	}
	ref := e.Ref
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		ref = ref[:i] + "/" + ref[i+1:]
	}
	return strings.TrimRight(public, "/") + "/i/" + ref + "/" + strconv.FormatUint(e.Seq, 10)
}

func labels(ls map[string][]string) map[string][]string {
	if ls == nil {
		return map[string][]string{}
	}
	return ls
}

func lateSeconds(o *outbox.Outage) int64 {
	if o == nil {
		return 0
	}
	return int64(o.Late / time.Second)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// encode gives the event as JSON of at most payloadLimit bytes. What is left
// out to fit (labels, then many platforms, then all that is not the change
// itself) is marked by truncated.
func (e cloudEvent) encode() ([]byte, error) {
	for _, trim := range []func(*eventData){
		func(*eventData) {},
		func(d *eventData) { d.Labels, d.Truncated = map[string][]string{}, true },
		func(d *eventData) { d.trimPlatforms(payloadPlatforms) },
		func(d *eventData) {
			d.trimPlatforms(0)
			d.Reason, d.Receiver = text.Cut(d.Reason, 100), text.Cut(d.Receiver, 100)
		},
	} {
		trim(&e.Data)
		body, err := e.json()
		if err != nil || len(body) <= payloadLimit {
			return body, err
		}
	}
	return nil, fmt.Errorf("event %.100s… is larger than %d bytes", e.ID, payloadLimit)
}

// json is the event whole, without a line break.
func (e cloudEvent) json() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode event %.100s: %w", e.ID, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func (d *eventData) trimPlatforms(limit int) {
	d.Platforms, d.Awaiting = d.Platforms[:min(len(d.Platforms), limit)], d.Awaiting[:min(len(d.Awaiting), limit)]
	d.Old, d.New = d.Old.trimmed(limit), d.New.trimmed(limit)
}

func (s *snapshotData) trimmed(limit int) *snapshotData {
	if s == nil {
		return nil
	}
	kept := *s
	kept.Platforms = map[string]string{}
	names := slices.Sorted(maps.Keys(s.Platforms))
	for _, p := range names[:min(len(names), limit)] {
		kept.Platforms[p] = s.Platforms[p]
	}
	return &kept
}
