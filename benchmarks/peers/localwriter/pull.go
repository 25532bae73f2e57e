package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// preparePull keeps what the URLs in -source give, one blob after the other: get, write, hash, sync.
// It is the whole work of a serial client, without a registry's tokens, retries and metadata.
func preparePull(o options) (work, error) {
	urls := strings.Split(o.source, ",")
	client, err := clientOf(o.authority)
	if err != nil {
		return work{}, err
	}
	s := store{o.root}
	if err := s.open(); err != nil {
		return work{}, err
	}
	run := func(int) (string, error) {
		digests := make([]string, 0, len(urls))
		for number, url := range urls {
			digest, err := pullOne(client, s, fmt.Sprintf("layer-%d", number), url)
			if err != nil {
				return "", err
			}
			digests = append(digests, digest)
		}
		return strings.Join(digests, ","), nil
	}
	return work{run, s.clear}, nil
}

func pullOne(client *http.Client, s store, ref string, url string) (string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, answer.Status)
	}
	w, err := s.begin(ref, answer.ContentLength)
	if err != nil {
		return "", err
	}
	if err := fillAndHand(answer.Body, w.Write); err != nil {
		return "", err
	}
	return w.commit(answer.ContentLength)
}

func clientOf(authority string) (*http.Client, error) {
	if authority == "" {
		return http.DefaultClient, nil
	}
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(text) {
		return nil, errors.New("-authority has no certificate in it")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport}, nil
}
