// SPDX-License-Identifier: MIT

// Package gate is the peers' way to Redis: one script call that decides, one pipelined pair that records the answer.
package gate

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"encoding/binary"
	"fmt"
	"math"
	"net"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

//go:embed gate.lua
var gateLua string

//go:embed complete.lua
var completeLua string

const (
	lockMs    = "30000"
	recordMs  = "60000"
	bucketKey = "l:bench"
)

// Store is one of the two Redis clients that Go programs use.
type Store interface {
	// Decide runs the gate; the reply's first letter is its verdict.
	Decide(key, mine string) (string, error)
	// Record stores the answer under a key of its own and lets the script rename it.
	Record(key, mine, body string) error
}

var ctx = context.Background()

// One bucket that never refuses: a microsecond for each request, a second's room.
var bucket = func() string {
	b := append([]byte("60000\x00"), 1, 1)
	for _, v := range []float64{1, 1e6, 0} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return string(b)
}()

// Mine makes the record of a new execution from the digest of the request's body.
func Mine(digest []byte) (string, error) {
	var owner [16]byte
	if len(digest) < 16 {
		return "", fmt.Errorf("a digest of %d bytes; 16 are needed", len(digest))
	}
	if _, err := rand.Read(owner[:]); err != nil {
		return "", err
	}
	return "P" + string(digest[:16]) + string(owner[:]), nil
}

// Open connects to the unix socket with the client that is named: "go-redis" with its default pool, or "rueidis".
func Open(client, socket string) (Store, error) {
	r := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	var sha [2]string
	for i, text := range []string{gateLua, completeLua} {
		loaded, err := r.ScriptLoad(ctx, text).Result()
		if err != nil {
			return nil, err
		}
		sha[i] = loaded
	}
	switch client {
	case "go-redis":
		return &goRedis{r, sha}, nil
	case "rueidis":
		defer r.Close()
		u, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{"127.0.0.1:6379"}, ForceSingleClient: true, DisableCache: true,
			DialCtxFn: func(c context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
				return d.DialContext(c, "unix", socket)
			}})
		return &pipelined{u, sha}, err
	}
	return nil, fmt.Errorf("client %q: go-redis and rueidis are known", client)
}

type goRedis struct {
	r   *redis.Client
	sha [2]string
}

func (s *goRedis) Decide(key, mine string) (string, error) {
	return s.r.EvalSha(ctx, s.sha[0], []string{bucketKey, "k:" + key}, bucket, mine, lockMs).Text()
}

func (s *goRedis) Record(key, mine, body string) error {
	p := s.r.Pipeline()
	p.Do(ctx, "SET", "t:"+key, "C"+mine[1:]+body, "PX", recordMs)
	p.EvalSha(ctx, s.sha[1], []string{"k:" + key, "t:" + key}, mine, recordMs, "T"+mine[1:])
	_, err := p.Exec(ctx)
	return err
}

type pipelined struct {
	u   rueidis.Client
	sha [2]string
}

func (s *pipelined) Decide(key, mine string) (string, error) {
	return s.u.Do(ctx, s.u.B().Evalsha().Sha1(s.sha[0]).Numkeys(2).Key(bucketKey, "k:"+key).Arg(bucket, mine, lockMs).Build()).ToString()
}

func (s *pipelined) Record(key, mine, body string) error {
	set := s.u.B().Arbitrary("SET").Keys("t:"+key).Args("C"+mine[1:]+body, "PX", recordMs).Build()
	end := s.u.B().Evalsha().Sha1(s.sha[1]).Numkeys(2).Key("k:"+key, "t:"+key).Arg(mine, recordMs, "T"+mine[1:]).Build()
	for _, r := range s.u.DoMulti(ctx, set, end) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}
