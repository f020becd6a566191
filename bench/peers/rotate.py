"""The rotation as people write it in Python: hvac and requests, one account after the other."""

import base64
import datetime
import json
import os

import hvac
import requests

MOUNT = os.environ["APISEC_MOUNT"]
vault = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])
kv = vault.secrets.kv.v2
apisec = requests.Session()


def read(key):
    try:
        return kv.read_secret_version(key, mount_point=MOUNT, raise_on_deleted_version=True)["data"]
    except hvac.exceptions.InvalidPath:
        return {"data": {}, "metadata": {"version": 0}}


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def rfc3339(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%FT%TZ")


def rotate(name):
    record = read(f"{name}/password")["data"]
    stored = read(f"{name}/token")
    host = record["host"]
    login = {"username": record["username"], "password": record["password"]}
    answer = apisec.post(f"{host}/login", json=login, timeout=20)
    answer.raise_for_status()
    token = answer.json()["token"]
    claims = claims_of(token)
    probe = apisec.get(
        f"{host}/api/v1/projects?page=0&pageSize=1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    if probe.status_code != 200 or probe.json()["errors"] is not False:
        raise RuntimeError(f"{name}: the new token does not work")
    secret = {
        "token": token,
        "expires_at": rfc3339(claims["exp"]),
        "issued_at": rfc3339(claims["iat"]),
        "username": record["username"],
        "host": host,
        "source": "bench",
    }
    version = stored["metadata"]["version"]
    kv.create_or_update_secret(f"{name}/token", secret, cas=version, mount_point=MOUNT)
    print(f"{name}  rotated  expires {secret['expires_at']}")


with open(os.environ["APISEC_ACCOUNTS_FILE"]) as accounts:
    for line in accounts.read().split():
        rotate(line)
