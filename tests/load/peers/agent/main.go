// SPDX-License-Identifier: MIT

// peer-agent -listen SOCKET -redis SOCKET [-client go-redis|rueidis]: the SPOE agent that one writes in Go in a day, with the gate of
// package gate. A bare gate: it does not beat, release, replay, or know what still runs.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/negasus/haproxy-spoe-go/action"
	"github.com/negasus/haproxy-spoe-go/agent"
	"github.com/negasus/haproxy-spoe-go/logger"
	"github.com/negasus/haproxy-spoe-go/message"
	"github.com/negasus/haproxy-spoe-go/request"

	"spoa-once/peers/gate"
)

func text(m *message.Message, name string) string {
	v, _ := m.KV.Get(name)
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Without a verdict HAProxy refuses.
func ask(store gate.Store, r *request.Request, m *message.Message) {
	mine, err := gate.Mine([]byte(text(m, "sha")))
	if err != nil {
		return
	}
	reply, err := store.Decide(text(m, "key"), mine)
	if err != nil || reply == "" {
		return
	}
	r.Actions.SetVar(action.ScopeTransaction, "act", reply[:1])
	r.Actions.SetVar(action.ScopeTransaction, "mine", []byte(mine))
}

func stop(err error) {
	fmt.Fprintln(os.Stderr, "peer-agent:", err)
	os.Exit(1)
}

func main() {
	listen := flag.String("listen", "", "unix socket for HAProxy")
	redis := flag.String("redis", "", "unix socket of Redis")
	client := flag.String("client", "go-redis", "go-redis or rueidis")
	flag.Parse()
	store, err := gate.Open(*client, *redis)
	if err != nil {
		stop(err)
	}
	os.Remove(*listen)
	l, err := net.Listen("unix", *listen)
	if err != nil {
		stop(err)
	}
	handle := func(r *request.Request) {
		if m, err := r.Messages.GetByName("peer-request"); err == nil {
			ask(store, r, m)
		} else if m, err := r.Messages.GetByName("peer-response"); err == nil {
			if mine := text(m, "mine"); mine != "" {
				_ = store.Record(text(m, "key"), mine, text(m, "body"))
			}
		}
	}
	stop(agent.New(handle, logger.NewNop()).Serve(l))
}
