"""The schema's part about sessions, tasks, the pool, its hosts and networks, in the notation of schema.py."""

from __future__ import annotations

SESSION = """
class session, setters pool-admin
standard get_by_uuid get_record
R  uuid                              string
R  auth_user_name                    string  = ""
R  auth_user_sid                     string  = ""
R  client_certificate                bool  = false
R  is_local_superuser                bool  = false
R  last_active                       datetime
R  originator                        string  = ""
W  other_config                      map  = {}
C  parent                            session ref  = OpaqueRef:NULL
R  pool                              bool
C  rbac_permissions                  string set  = {}
R  subject                           subject ref  = OpaqueRef:NULL
R  tasks                             task ref set
R  this_host                         host ref
R  this_user                         user ref
R  validation_time                   datetime  = 19700101T00:00:00Z
M  login_with_password(uname: string, pwd: string, version?: string, originator?: string) -> session ref  @read-only
M  logout() -> void  @read-only
M  slave_local_login_with_password(uname: string, pwd: string) -> session ref  @pool-admin
M  local_logout() -> void  @pool-admin
"""

TASK = """
class task, setters pool-admin
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
R  name_description                  string  = ""
R  name_label                        string  = ""
R  allowed_operations                enum task_allowed_operations set  = {}
R  backtrace                         string  = "()"
R  created                           datetime
R  current_operations                (string -> enum task_allowed_operations) map  = {}
R  error_info                        string set
R  finished                          datetime
R  other_config                      map  = {}
R  progress                          float
R  resident_on                       host ref
R  result                            string
R  status                            enum task_status_type
R  subtask_of                        task ref  = Null
R  subtasks                          task ref set
R  type                              string
M  create(label: string, description: string) -> task ref  @read-only
M  destroy(self: task ref) -> void  @read-only
M  cancel(task: task ref) -> void  @read-only
M  set_progress(self: task ref, value: float) -> void  @read-only
M  set_result(self: task ref, value: string) -> void  @read-only
M  set_status(self: task ref, value: enum task_status_type) -> void  @read-only
M  set_error_info(self: task ref, value: string set) -> void  @read-only
M  set_other_config(self: task ref, value: map) -> void  @read-only
M  add_to_other_config(self: task ref, key: string, value: string) -> void  @read-only
M  remove_from_other_config(self: task ref, key: string) -> void  @read-only
"""

EVENT = """
class event, setters pool-admin
standard
C  class                             string
C  id                                int
C  obj_uuid                          string
C  operation                         enum event_operation
C  ref                               string
R  snapshot                          <class> record
C  timestamp                         datetime
M  from(classes: string set, token: string, timeout: float) -> an event batch  @read-only
M  get_current_id() -> int  @read-only
M  inject(class: string, ref: string) -> string  @read-only
"""

POOL = """
class pool, setters pool-operator, partial
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
W  name_description                  string
W  name_label                        string
R  allowed_operations                enum pool_allowed_operations set  = {}
R  blobs                             (string -> blob ref) map  = {}
W  coordinator_bias                  bool  = true
R  cpu_info                          map  = {}
W  crash_dump_SR                     SR ref
R  current_operations                (string -> enum pool_allowed_operations) map  = {}
W  default_SR                        SR ref
W  gui_config                        map  = {}  @vm-operator
W  ha_allow_overcommit               bool  = false
R  ha_cluster_stack                  string  = ""
R  ha_configuration                  map  = {}
R  ha_enabled                        bool  = false
R  ha_host_failures_to_tolerate      int  = 0
R  master                            host ref
W  other_config                      map
R  restrictions                      map  = {}
W  suspend_image_SR                  SR ref
W  tags                              string set  = {}  @vm-operator
R  tls_verification_enabled          bool  = false
M  designate_new_master(host: host ref) -> void  @pool-operator
M  sync_database() -> void  @pool-operator
removed enable_ssl_legacy
"""

HOST = """
class host, setters pool-operator, partial
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
W  name_description                  string  = ""
W  name_label                        string  = ""
W  address                           string
R  allowed_operations                enum host_allowed_operations set  = {}
R  API_version_major                 int
R  API_version_minor                 int
R  API_version_vendor                string
R  API_version_vendor_implementation  map
R  bios_strings                      map  = {}
R  blobs                             (string -> blob ref) map  = {}
C  capabilities                      string set
R  control_domain                    VM ref  = OpaqueRef:NULL
R  cpu_configuration                 map
R  cpu_info                          map  = {}
W  crash_dump_sr                     SR ref
R  crashdumps                        host_crashdump ref set
R  current_operations                (string -> enum host_allowed_operations) map  = {}
W  display                           enum host_display  = enabled
R  edition                           string  = ""
R  editions                          string set  = {}
R  enabled                           bool
R  external_auth_service_name        string  = ""
R  external_auth_type                string  = ""
R  host_CPUs                         host_cpu ref set
W  hostname                          string
R  license_params                    map
W  license_server                    map  = {"address" -> "localhost", "port" -> "27000"}
C  local_cache_sr                    SR ref  = OpaqueRef:NULL
W  logging                           map
R  memory_overhead                   int  = 0
R  metrics                           host_metrics ref
C  multipathing                      bool  = false
W  other_config                      map
R  PBDs                              PBD ref set
R  pending_guidances                 enum update_guidances set  = {}
R  PIFs                              PIF ref set
R  power_on_config                   map  = {}
R  power_on_mode                     string  = ""
R  resident_VMs                      VM ref set
R  sched_policy                      string
C  software_version                  map
R  supported_bootloaders             string set
W  suspend_image_sr                  SR ref
W  tags                              string set  = {}  @vm-operator
R  tls_verification_enabled          bool  = false
R  updates                           pool_update ref set
R  virtual_hardware_platform_versions  int set  = {0}
M  enable(host: host ref) -> void  @client-cert
M  disable(host: host ref, auto_enable?: bool) -> void  @client-cert
M  compute_free_memory(host: host ref) -> int  @read-only
M  get_servertime(host: host ref) -> datetime  @read-only
M  get_server_localtime(host: host ref) -> datetime  @read-only
M  list_methods() -> string set  @read-only
removed apply_recommended_guidances
removed license_apply
removed reset_cpu_features
removed set_cpu_features
"""

NETWORK = """
class network, setters pool-operator
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
W  name_description                  string  = ""
W  name_label                        string  = ""
R  allowed_operations                enum network_operations set  = {}
R  assigned_ips                      (VIF ref -> string) map  = {}
R  blobs                             (string -> blob ref) map  = {}
C  bridge                            string  = ""
R  current_operations                (string -> enum network_operations) map  = {}
R  default_locking_mode              enum network_default_locking_mode  = unlocked
C  managed                           bool  = true
W  MTU                               int  = 1500  @vm-admin
W  other_config                      map
R  PIFs                              PIF ref set
R  purpose                           enum network_purpose set  = {}
W  tags                              string set  = {}  @vm-operator
R  VIFs                              VIF ref set
M  create(args: network record) -> network ref  @vm-admin
M  destroy(self: network ref) -> void  @vm-admin
M  set_default_locking_mode(network: network ref, value: enum network_default_locking_mode) -> void  @pool-operator
M  add_purpose(self: network ref, value: enum network_purpose) -> void  @pool-admin
M  remove_purpose(self: network ref, value: enum network_purpose) -> void  @pool-admin
"""

PIF = """
class PIF, setters pool-operator, partial
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  bond_master_of                    Bond ref set
R  bond_slave_of                     Bond ref  = Null
R  capabilities                      string set  = {}
R  currently_attached                bool  = true
C  device                            string
R  disallow_unplug                   bool  = false
R  DNS                               string  = ""
R  gateway                           string  = ""
C  host                              host ref
R  IP                                string  = ""
R  ip_configuration_mode             enum ip_configuration_mode  = None
R  IPv6                              string set  = {}
R  ipv6_configuration_mode           enum ipv6_configuration_mode  = None
R  ipv6_gateway                      string  = ""
C  MAC                               string
C  managed                           bool  = true
R  management                        bool  = false
R  metrics                           PIF_metrics ref
C  MTU                               int
R  netmask                           string  = ""
C  network                           network ref
W  other_config                      map  = {}
R  physical                          bool  = false
R  primary_address_type              enum primary_address_type  = IPv4
R  properties                        map  = {}
C  VLAN                              int
R  VLAN_master_of                    VLAN ref  = Null
R  VLAN_slave_of                     VLAN ref set
"""

TABLES = (SESSION, TASK, EVENT, POOL, HOST, NETWORK, PIF)
