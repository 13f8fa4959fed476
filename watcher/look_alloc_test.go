package watcher

import (
	"context"
	"testing"
	"time"
)

type sameDigest string

func (d sameDigest) Digest(context.Context, string) (string, error) { return string(d), nil }
func (d sameDigest) Snapshot(context.Context, Target, string) (Snapshot, error) {
	panic("an unchanged look reads nothing")
}
func (d sameDigest) Tags(context.Context, Target) ([]string, error) { return nil, nil }

func (d sameDigest) Allowance(string) (int, time.Time) { return 1, time.Time{} }

func TestAnUnchangedLookReadsNothingAndCostsFewAllocations(t *testing.T) {
	l := NewLoop(LoopConfig{Registry: sameDigest("sha256:aa")})
	h := l.host("docker.io")
	c := Claim{Target: Target{Ref: "docker.io/library/alpine:3.22", Platforms: []string{"linux/amd64"}, Every: time.Hour},
		Seen: "sha256:aa", Quiet: true, Token: 7}
	if m := l.look(t.Context(), h, c); m.result.State != nil || m.result.Token != 7 || m.result.Unlooked || m.err != nil {
		t.Fatalf("%+v", m)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { l.look(ctx, h, c) }); n > 10 {
		t.Errorf("%v allocations", n)
	}
}
