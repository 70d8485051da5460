#!/bin/sh
# Makes the namespace where there is none. Ended executions are kept for 30 days; what
# happened is in Keyturn's own record.
set -eu

until temporal operator cluster health; do sleep 2; done
temporal operator namespace describe --namespace "$NAMESPACE" ||
    temporal operator namespace create --namespace "$NAMESPACE" --retention 30d
