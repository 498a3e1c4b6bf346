// SPDX-License-Identifier: MIT

// peer-proxy -listen ADDRESS -application URL -redis SOCKET [-client go-redis|rueidis]: a reverse proxy with the gate of package gate in it,
// which is how one does without HAProxy. A bare gate, as the peers' agent.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"spoa-once/peers/gate"
)

const connections = 256

// execution is what the answer's end must know of its request.
type execution struct{ key, mine string }

type contextKey struct{}

func stop(err error) {
	fmt.Fprintln(os.Stderr, "peer-proxy:", err)
	os.Exit(1)
}

// take reads a body whole and puts it back.
func take(body *io.ReadCloser) ([]byte, error) {
	text, err := io.ReadAll(*body)
	*body = io.NopCloser(bytes.NewReader(text))
	return text, err
}

// proxyTo forwards to the application; an answer goes on when Redis has it.
func proxyTo(application *url.URL, store gate.Store) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(application) },
		Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections},
		ModifyResponse: func(r *http.Response) error {
			body, err := take(&r.Body)
			if err != nil {
				return err
			}
			e := r.Request.Context().Value(contextKey{}).(execution)
			return store.Record(e.key, e.mine, string(body))
		},
	}
}

// ask says whether the request may run, and as what; else with which status it is refused.
func ask(store gate.Store, r *http.Request) (execution, int) {
	e := execution{key: r.Header.Get("Idempotency-Key")}
	body, err := take(&r.Body)
	if err != nil {
		return e, http.StatusBadRequest
	}
	digest := sha256.Sum256(body)
	if e.mine, err = gate.Mine(digest[:]); err != nil {
		return e, http.StatusServiceUnavailable
	}
	reply, err := store.Decide(e.key, e.mine)
	if err != nil || reply == "" {
		return e, http.StatusServiceUnavailable
	}
	if reply[0] != 'F' {
		return e, http.StatusConflict
	}
	return e, 0
}

func main() {
	listen := flag.String("listen", "", "address for clients")
	application := flag.String("application", "", "URL of the application")
	redis := flag.String("redis", "", "unix socket of Redis")
	client := flag.String("client", "rueidis", "go-redis or rueidis")
	flag.Parse()
	store, err := gate.Open(*client, *redis)
	if err != nil {
		stop(err)
	}
	target, err := url.Parse(*application)
	if err != nil {
		stop(err)
	}
	proxy := proxyTo(target, store)
	stop(http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, status := ask(store, r)
		if status != 0 {
			http.Error(w, http.StatusText(status), status)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, e)))
	})))
}
