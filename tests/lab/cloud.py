"""Makes the objects of the lab's cloud exist, through the services' own APIs: cloud.py LAB JSON REGION

Prints one line for each thing it made or changed and nothing when all was in place. JSON is an object with any of

    services      [{name, type, url}]
    accounts      [{user, project, roles}], with the password in LAB_SECRET
    volume_types  [{name, extra_specs}]
    quotas        {project: {resource: limit}}
    flavors       [{name, vcpus, ram, disk}], public
    compute_quotas {project: {resource: limit}}
    hypervisors   [host], which are waited for
    images        [{name, path, disk_format, stores, properties}], public

and it leaves LAB/cloud.json behind, with the ids of users and projects that configuration files ask for.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from openstack.config import OpenStackConfig
from openstack.connection import Connection


def say(text: str) -> None:
    print(text, flush=True)


class Cloud:
    def __init__(self, lab: Path, region: str) -> None:
        self.lab = lab
        self.region = region
        clouds = OpenStackConfig(config_files=[str(lab / "clouds.yaml")], load_envvars=False)
        # One Keystone for all regions, and a new one has no catalog yet.
        self.identity = Connection(config=clouds.get_one("lab-admin")).identity
        self.connection = Connection(config=clouds.get_one("lab-admin" if region == "RegionOne" else f"lab-admin-{region}"))

    def services(self, wanted: list[dict[str, str]]) -> None:
        identity = self.identity
        present = {service.type: service for service in identity.services()}
        endpoints = {
            (endpoint.service_id, endpoint.interface): endpoint
            for endpoint in identity.endpoints() if endpoint.region_id == self.region
        }
        if self.region not in {region.id for region in identity.regions()}:
            identity.create_region(id=self.region)
            say(f"region {self.region}")
        for item in wanted:
            service = present.get(item["type"])
            if service is None:
                service = identity.create_service(name=item["name"], type=item["type"])
                say(f"service {item['type']}")
            for interface in ("public", "internal", "admin"):
                endpoint = endpoints.get((service.id, interface))
                if endpoint is None:
                    identity.create_endpoint(
                        service_id=service.id, interface=interface, url=item["url"], region_id=self.region
                    )
                    say(f"endpoint {item['type']} {interface}")
                elif endpoint.url != item["url"]:
                    identity.update_endpoint(endpoint, url=item["url"])
                    say(f"endpoint {item['type']} {interface} moved")

    def accounts(self, wanted: list[dict[str, Any]]) -> None:
        identity = self.identity
        roles = {role.name: role for role in identity.roles()}
        users = {user.name: user for user in identity.users()}
        projects = {project.name: project for project in identity.projects()}
        for item in wanted:
            for role in set(item["roles"]) - set(roles):
                roles[role] = identity.create_role(name=role)
                say(f"role {role}")
            if item["project"] not in projects:
                projects[item["project"]] = identity.create_project(name=item["project"], domain_id="default")
                say(f"project {item['project']}")
            project = projects[item["project"]]
            if item["user"] not in users:
                users[item["user"]] = identity.create_user(
                    name=item["user"], password=os.environ["LAB_SECRET"], domain_id="default",
                    default_project_id=project.id,
                )
                say(f"user {item['user']}")
            user = users[item["user"]]
            granted = {
                assignment.role["id"]
                for assignment in identity.role_assignments(user_id=user.id, scope_project_id=project.id)
            }
            for role in item["roles"]:
                if roles[role].id not in granted:
                    identity.assign_project_role_to_user(project, user, roles[role])
                    say(f"role {role} of {item['user']} in {item['project']}")
        ids = {
            "users": {name: user.id for name, user in sorted(users.items())},
            "projects": {name: project.id for name, project in sorted(projects.items())},
        }
        self.lab.joinpath("cloud.json").write_text(json.dumps(ids, indent=1), encoding="utf-8")

    def volume_types(self, wanted: list[dict[str, Any]]) -> None:
        storage = self.connection.block_storage
        present = {kind.name: kind for kind in storage.types()}
        for item in wanted:
            kind = present.get(item["name"])
            if kind is None:
                kind = storage.create_type(name=item["name"])
                say(f"volume type {item['name']}")
            missing = item["extra_specs"].items() - (kind.extra_specs or {}).items()
            if missing:
                storage.update_type_extra_specs(kind, **dict(missing))
                say(f"extra specs of volume type {item['name']}")

    def quotas(self, wanted: dict[str, dict[str, int]]) -> None:
        storage = self.connection.block_storage
        for name, limits in wanted.items():
            project = self.identity.find_project(name, ignore_missing=False)
            present = storage.get_quota_set(project).to_dict()
            if any(present.get(resource) != limit for resource, limit in limits.items()):
                storage.update_quota_set(project, **limits)
                say(f"quota of project {name}")

    def flavors(self, wanted: list[dict[str, Any]]) -> None:
        compute = self.connection.compute
        present = {flavor.name for flavor in compute.flavors(details=False)}
        for item in wanted:
            if item["name"] not in present:
                compute.create_flavor(**item)
                say(f"flavor {item['name']}")

    def compute_quotas(self, wanted: dict[str, dict[str, int]]) -> None:
        compute = self.connection.compute
        for name, limits in wanted.items():
            project = self.identity.find_project(name, ignore_missing=False)
            present = compute.get_quota_set(project).to_dict()
            if any(present.get(resource) != limit for resource, limit in limits.items()):
                compute.update_quota_set(project, **limits)
                say(f"quota of servers of project {name}")

    def hypervisors(self, wanted: list[str]) -> None:
        deadline = time.monotonic() + 120
        while missing := set(wanted) - self.computing():
            if time.monotonic() > deadline:
                sys.exit(f"hosts that compute nothing: {', '.join(sorted(missing))}")
            time.sleep(0.5)

    def computing(self) -> set[str]:
        found = self.connection.compute.hypervisors(details=True)
        return {hypervisor.service_details["host"] for hypervisor in found if hypervisor.state == "up"}

    def images(self, wanted: list[dict[str, Any]]) -> None:
        """Registers what a file holds; makes the image anew when the file has changed since."""
        service = self.connection.image
        listed = checked(service.get("/images?visibility=public&limit=1000")).json()["images"]
        present = {image["name"]: image for image in listed}
        for item in wanted:
            path, stores = Path(item["path"]), ",".join(sorted(item["stores"]))
            digest = hashlib.sha512(path.read_bytes()).hexdigest()
            image = present.get(item["name"])
            if image and image["os_hash_value"] == digest and is_in(image, stores):
                continue
            if image:
                self.retire(image)
            body = {
                "name": item["name"], "disk_format": item["disk_format"], "container_format": "bare",
                "visibility": "public", **item.get("properties", {}),
            }
            new = checked(service.post("/images", json=body)).json()["id"]
            with path.open("rb") as data:
                octets = {"Content-Type": "application/octet-stream"}
                checked(service.put(f"/images/{new}/stage", data=data, headers=octets))
            order = {"method": {"name": "glance-direct"}, "stores": item["stores"]}
            checked(service.post(f"/images/{new}/import", json=order))
            deadline = time.monotonic() + 120
            while not is_in(image := checked(service.get(f"/images/{new}")).json(), stores):
                if time.monotonic() > deadline:
                    sys.exit(f"image {item['name']} did not reach stores {stores}: {image}")
                time.sleep(0.2)
            say(f"image {item['name']} in {stores}")

    def retire(self, image: dict[str, Any]) -> None:
        """Deletes an image, or takes its name away while volumes are still clones of it."""
        service = self.connection.image
        if service.delete(f"/images/{image['id']}").ok:
            return
        patch = [
            {"op": "replace", "path": "/name", "value": f"{image['name']} (replaced)"},
            {"op": "replace", "path": "/os_hidden", "value": True},
        ]
        media = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        checked(service.patch(f"/images/{image['id']}", data=json.dumps(patch), headers=media))


def checked(response: Any) -> Any:
    if not response.ok:
        sys.exit(f"{response.request.method} {response.url}: {response.status_code} {response.text}")
    return response


def is_in(image: dict[str, Any], stores: str) -> bool:
    """Whether the image is ready and lies in just these stores."""
    return image["status"] == "active" and ",".join(sorted(image.get("stores", "").split(","))) == stores


def main() -> int:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    cloud = Cloud(Path(sys.argv[1]).resolve(), sys.argv[3])
    for kind, wanted in json.loads(sys.argv[2]).items():
        getattr(cloud, kind)(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
