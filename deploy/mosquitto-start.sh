#!/bin/sh
# The broker's start in docker-compose: passwords from the environment into mosquitto's hashed file.
set -eu
passwords=/mosquitto/config/passwords
umask 077
printf 'gridwing:%s\ndevice:%s\n' "$GRIDWING_MQTT_PASSWORD" "$GRIDWING_DEVICE_PASSWORD" >"$passwords"
mosquitto_passwd -U "$passwords"
# mosquitto drops to its own user before it reads them.
chown mosquitto:mosquitto "$passwords" /mosquitto/data
exec mosquitto -c /mosquitto/config/mosquitto.conf
