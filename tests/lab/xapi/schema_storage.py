"""The schema's part about storage: repositories, disks and what connects them, in the notation of schema.py."""

from __future__ import annotations

SM = """
class SM, setters pool-operator
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
R  name_description                  string  = ""
R  name_label                        string  = ""
R  capabilities                      string set  = {}
R  configuration                     map
R  copyright                         string
R  driver_filename                   string  = ""
R  features                          (string -> int) map  = {}
W  other_config                      map  = {}
R  required_api_version              string
R  required_cluster_stack            string set  = {}
R  supported_image_formats           enum image_format_type set  = {}
R  type                              string
R  vendor                            string
R  version                           string
"""

SR = """
class SR, setters pool-operator
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
C  name_description                  string  = ""
C  name_label                        string  = ""
R  allowed_operations                enum storage_operations set  = {}
R  blobs                             (string -> blob ref) map  = {}
R  clustered                         bool  = false
C  content_type                      string
R  current_operations                (string -> enum storage_operations) map  = {}
R  introduced_by                     DR_task ref  = OpaqueRef:NULL
R  is_tools_sr                       bool  = false
R  local_cache_enabled               bool  = false
W  other_config                      map
R  PBDs                              PBD ref set
C  physical_size                     int
R  physical_utilisation              int
R  shared                            bool
W  sm_config                         map  = {}
W  tags                              string set  = {}  @vm-operator
C  type                              string
R  VDIs                              VDI ref set
R  virtual_allocation                int
M  scan(sr: SR ref) -> void  @vm-power-admin
M  update(sr: SR ref) -> void  @pool-operator
M  get_supported_types() -> string set  @read-only
M  set_name_label(sr: SR ref, value: string) -> void  @pool-operator
M  set_name_description(sr: SR ref, value: string) -> void  @pool-operator
M  set_physical_size(self: SR ref, value: int) -> void  @pool-operator
M  set_shared(sr: SR ref, value: bool) -> void  @pool-operator
"""

PBD = """
class PBD, setters pool-operator
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  currently_attached                bool
C  device_config                     map
C  host                              host ref
W  other_config                      map  = {}
C  SR                                SR ref
M  plug(self: PBD ref) -> void  @pool-operator
M  unplug(self: PBD ref) -> void  @pool-operator
"""

VDI = """
class VDI, setters vm-admin
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
C  name_description                  string  = ""
C  name_label                        string  = ""
R  allow_caching                     bool  = false
R  allowed_operations                enum vdi_operations set  = {}
R  cbt_enabled                       bool  = false
R  crash_dumps                       crashdump ref set
R  current_operations                (string -> enum vdi_operations) map  = {}
R  is_a_snapshot                     bool  = false
R  is_tools_iso                      bool  = false
R  location                          string  = ""
R  managed                           bool
R  metadata_latest                   bool  = false
R  metadata_of_pool                  pool ref  = OpaqueRef:NULL
R  missing                           bool
R  on_boot                           enum on_boot  = persist
W  other_config                      map
R  parent                            VDI ref
R  physical_utilisation              int
C  read_only                         bool
C  sharable                          bool
W  sm_config                         map  = {}
R  snapshot_of                       VDI ref  = Null
R  snapshot_time                     datetime  = 19700101T00:00:00Z
R  snapshots                         VDI ref set
C  SR                                SR ref
R  storage_lock                      bool
W  tags                              string set  = {}  @vm-operator
C  type                              enum vdi_type
R  VBDs                              VBD ref set
C  virtual_size                      int
W  xenstore_data                     map  = {}
M  create(args: VDI record) -> VDI ref  @vm-admin
M  destroy(self: VDI ref) -> void  @vm-admin
M  resize(vdi: VDI ref, size: int) -> void  @vm-admin
M  resize_online(vdi: VDI ref, size: int) -> void  @vm-admin
M  clone(vdi: VDI ref, driver_params?: map) -> VDI ref  @vm-admin
M  snapshot(vdi: VDI ref, driver_params?: map) -> VDI ref  @vm-admin
M  copy(vdi: VDI ref, sr?: SR ref, base_vdi?: VDI ref, into_vdi?: VDI ref) -> VDI ref  @vm-admin
M  update(vdi: VDI ref) -> void  @vm-admin
M  set_name_label(self: VDI ref, value: string) -> void  @vm-admin
M  set_name_description(self: VDI ref, value: string) -> void  @vm-admin
M  set_read_only(self: VDI ref, value: bool) -> void  @vm-admin
M  set_sharable(self: VDI ref, value: bool) -> void  @vm-admin
M  set_allow_caching(self: VDI ref, value: bool) -> void  @vm-admin
M  set_on_boot(self: VDI ref, value: enum on_boot) -> void  @vm-admin
"""

VBD = """
class VBD, setters vm-admin
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  allowed_operations                enum vbd_operations set  = {}
W  bootable                          bool
R  current_operations                (string -> enum vbd_operations) map  = {}
C  currently_attached                bool  = false
C  device                            string  = ""
C  empty                             bool
R  metrics                           VBD_metrics ref  = OpaqueRef:NULL  removed
C  mode                              enum vbd_mode
W  other_config                      map
W  qos_algorithm_params              map
W  qos_algorithm_type                string
R  qos_supported_algorithms          string set
R  runtime_properties                map
R  status_code                       int
R  status_detail                     string
R  storage_lock                      bool
W  type                              enum vbd_type
W  unpluggable                       bool  = true
W  userdevice                        string
C  VDI                               VDI ref
C  VM                                VM ref
M  create(args: VBD record) -> VBD ref  @vm-admin
M  destroy(self: VBD ref) -> void  @vm-admin
M  plug(self: VBD ref) -> void  @vm-admin
M  unplug(self: VBD ref) -> void  @vm-admin
M  unplug_force(self: VBD ref) -> void  @vm-admin
M  eject(vbd: VBD ref) -> void  @vm-operator
M  insert(vbd: VBD ref, vdi: VDI ref) -> void  @vm-operator
M  assert_attachable(self: VBD ref) -> void  @vm-admin
M  set_mode(self: VBD ref, value: enum vbd_mode) -> void  @vm-admin
"""

TABLES = (SM, SR, PBD, VDI, VBD)
