#!/bin/sh
# Make a private authority and a broker certificate of it:  sh deploy/certificate.sh FOLDER NAME [NAME...]
# A NAME is what devices connect to: a host name or an IP address. FOLDER is then GRIDWING_TLS_DIR; devices are given
# its authority.pem to trust. authority-key.pem signs; keep it elsewhere. Run again, it renews the certificate only.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: sh deploy/certificate.sh FOLDER NAME [NAME...]" >&2
    exit 2
fi
folder=$1
shift
umask 077
mkdir -p "$folder"
cd "$folder"
names=
for name in "$@"; do
    case $name in
        *:*) names="$names,IP:$name" ;;
        *[!0-9.]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done
if [ ! -f authority-key.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Gridwing broker authority" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
        -keyout authority-key.pem -out authority.pem
fi
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout key.pem -out request.pem
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "${names#,}" >extensions.txt
openssl x509 -req -in request.pem -CA authority.pem -CAkey authority-key.pem -CAcreateserial -days 825 \
    -extfile extensions.txt -out certificate.pem
rm request.pem extensions.txt
