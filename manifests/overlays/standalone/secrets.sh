#!/usr/bin/env bash
# secrets.sh - prints the Secrets that this overlay needs, with random values: pipe it into `kubectl create -f -`, which refuses
# to touch those that are there. (`kubectl apply` would replace the encryption key, and what it encrypted could not be read.)
#
#   secrets.sh [HOST...]    HOST: what clients call the resource API, beside the Service's own names
#
# dispatcher-database     the password of PostgreSQL, and the URL with it
# dispatcher-encryption   what Secrets are encrypted with in the database
# dispatcher-tls          the certificate of the resource API, good for a year, and the authority that clients trust (ca.crt)
set -euo pipefail
umask 077

namespace=dispatcher-system
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

password=$(openssl rand -hex 32)
key=$(openssl rand -base64 32)

names=DNS:localhost,IP:127.0.0.1
for name in dispatcher.$namespace.svc.cluster.local dispatcher.$namespace.svc dispatcher.$namespace "$@"; do
  if [[ $name =~ ^[0-9.]+$|: ]]; then names+=,IP:$name; else names+=,DNS:$name; fi
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 3650 -subj "/CN=Dispatcher" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
  -keyout ca.key -out ca.crt 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 365 -subj "/CN=dispatcher-api" \
  -CA ca.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
  -addext extendedKeyUsage=serverAuth -addext "subjectAltName=$names" -keyout tls.key -out tls.crt 2>/dev/null

indented() { sed 's/^/    /' "$1"; }
cat <<END
apiVersion: v1
kind: Secret
metadata: {name: dispatcher-database, namespace: $namespace}
stringData:
  password: "$password"
  url: postgresql://dispatcher:$password@dispatcher-postgresql.$namespace.svc:5432/dispatcher
---
apiVersion: v1
kind: Secret
metadata: {name: dispatcher-encryption, namespace: $namespace}
stringData:
  key: "$key"
---
apiVersion: v1
kind: Secret
metadata: {name: dispatcher-tls, namespace: $namespace}
type: kubernetes.io/tls
stringData:
  tls.crt: |
$(indented tls.crt)
  tls.key: |
$(indented tls.key)
  ca.crt: |
$(indented ca.crt)
END
