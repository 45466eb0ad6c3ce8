#!/bin/sh
# The broker's start in docker-compose. Accounts outlive the container in a volume of their own: that of the services
# is made anew from the environment and mosquitto.acl, those of enrolled devices are kept as they are.
set -eu
config=/mosquitto/config accounts=/mosquitto/accounts
passwords=$accounts/passwords acl=$accounts/acl
umask 077
touch "$passwords" "$acl"
printf 'gridwing:%s\n' "$GRIDWING_MQTT_PASSWORD" >"$passwords.new"
mosquitto_passwd -U "$passwords.new"
grep -v -e '^gridwing:' -e '^device:' "$passwords" >>"$passwords.new" || true
mv "$passwords.new" "$passwords"
# The account `device` may speak as any device: simulated hardware has it, nothing here does.
awk '/^user /{mine = $2 == "gridwing"} mine' "$config/mosquitto.acl" >"$acl.new"
awk '/^user /{kept = $2 != "gridwing" && $2 != "device"} kept' "$acl" >>"$acl.new"
mv "$acl.new" "$acl"
for file in certificate.pem key.pem; do
    if [ ! -r "/mosquitto/tls/$file" ]; then
        echo "mosquitto: /mosquitto/tls/$file is missing: put it into GRIDWING_TLS_DIR (deploy/certificate.sh makes one)" >&2
        exit 1
    fi
    cp "/mosquitto/tls/$file" "$accounts/$file"
done
sed -e "s|^password_file .*|password_file $passwords|" -e "s|^acl_file .*|acl_file $acl|" \
    "$config/mosquitto.conf" >"$accounts/mosquitto.conf"
cat "$config/mosquitto-tls.conf" >>"$accounts/mosquitto.conf"
# mosquitto drops to its own user before it reads them.
chown -R mosquitto:mosquitto "$accounts" /mosquitto/data
exec mosquitto -c "$accounts/mosquitto.conf"
