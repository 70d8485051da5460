#!/bin/sh
# Creates the namespace if it does not exist. Ended executions are kept for 30 days;
# Keyturn has its own record of them.
set -eu

until temporal operator cluster health; do sleep 2; done
temporal operator namespace describe --namespace "$NAMESPACE" ||
    temporal operator namespace create --namespace "$NAMESPACE" --retention 30d
