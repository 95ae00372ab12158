# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the model to cinder.conf."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model, Options
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.settings import Settings


def settings(model: Model) -> Settings:
    """What the model makes of cinder.conf."""
    made = Settings()
    if model.backends:
        made.write("DEFAULT", enabled_backends=",".join(backend.name for backend in model.backends))
    for backend in model.backends:
        made.write(backend.name, **{
            "volume_backend_name": backend.volume_backend_name,
            **backend.options,
            "image_upload_use_cinder_backend": backend.volume_backed_images,
            "image_upload_use_internal_tenant": model.internal_tenant(backend),
        })
    if model.schemes is not None or model.effective_schemes:
        made.write("DEFAULT", allowed_direct_url_schemes=",".join(model.effective_schemes))
    if model.tenant_project and model.tenant_user:
        made.write("DEFAULT", cinder_internal_tenant_project_id=model.tenant_project, cinder_internal_tenant_user_id=model.tenant_user)
    if model.glance_auth and model.deployment.glance_section:
        made.write("glance", **_account(model.glance_auth))
    if model.service_user_auth:
        made.write("service_user", send_service_user_token=True, **_account(model.service_user_auth))
    made.sections = [backend.name for backend in model.backends]
    return made.finished(model, CINDER)


def _account(auth: Options) -> t.Dict[str, t.Any]:
    """Options of keystoneauth; a password if nothing else is said."""
    return {"auth_type": "password", **auth}
