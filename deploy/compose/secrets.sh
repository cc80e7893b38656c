#!/usr/bin/env bash
# Writes what .env says into ./secrets, for the services; a password that is empty in .env is made at random there.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
[ -f .env ] || cp env.example .env
chmod 600 .env

for name in REDIS_PASSWORD MONGO_PASSWORD GATEWAY_PASSWORD GRAFANA_PASSWORD; do
  if ! grep -Eq "^$name=.+" .env; then
    made="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    grep -v "^$name=" .env >.env.new || true
    printf '%s=%s\n' "$name" "$made" >>.env.new
    mv .env.new .env
  fi
done
value() { grep -E "^$1=" .env | tail -1 | cut -d= -f2-; }

mkdir -p secrets
printf 'admin' >secrets/basic-auth-user
printf '%s' "$(value GATEWAY_PASSWORD)" >secrets/basic-auth-password
printf 'redis://:%s@redis:6379/0' "$(value REDIS_PASSWORD)" >secrets/redis-url
printf 'mongodb://jangada:%s@mongo:27017/?authSource=admin' "$(value MONGO_PASSWORD)" >secrets/mongo-url
# Executors run as an ordinary user and read the mounted files; the folder keeps everybody else out.
chmod 644 secrets/*
echo "wrote deploy/compose/secrets from .env"
