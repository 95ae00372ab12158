"""The schema's part about machines, in the notation of schema.py."""

from __future__ import annotations

VM = """
class VM, setters vm-admin
standard get_all get_all_records get_by_uuid get_by_name_label get_record
R  uuid                              string
W  name_description                  string  = ""
W  name_label                        string  = ""
C  actions_after_crash               enum on_crash_behaviour
W  actions_after_reboot              enum on_normal_exit
W  actions_after_shutdown            enum on_normal_exit
W  actions_after_softreboot          enum on_softreboot_behavior  = soft_reboot
W  affinity                          host ref  @vm-power-admin
R  allowed_operations                enum vm_operations set  = {}
C  appliance                         VM_appliance ref  = OpaqueRef:NULL
R  attached_PCIs                     PCI ref set
R  bios_strings                      map  = {}
R  blobs                             (string -> blob ref) map  = {}
C  blocked_operations                (enum vm_operations -> string) map  = {}
R  children                          VM ref set
R  consoles                          console ref set
R  crash_dumps                       crashdump ref set
R  current_operations                (string -> enum vm_operations) map  = {}
C  domain_type                       enum domain_type  = unspecified
R  domarch                           string
R  domid                             int
C  generation_id                     string  = "0:0"
R  groups                            VM_group ref set
R  guest_metrics                     VM_guest_metrics ref
C  ha_always_run                     bool  = false
C  ha_restart_priority               string  = ""
W  hardware_platform_version         int  = 0
C  has_vendor_device                 bool  = true
W  HVM_boot_params                   map
C  HVM_boot_policy                   string
C  HVM_shadow_multiplier             float  = 1.
R  is_a_snapshot                     bool  = false
W  is_a_template                     bool
R  is_control_domain                 bool
R  is_default_template               bool  = false
C  is_snapshot_from_vmpp             bool  = false  removed
C  is_vmss_snapshot                  bool  = false
C  last_boot_CPU_flags               map  = {}
C  last_booted_record                string  = ""
C  memory_dynamic_max                int
C  memory_dynamic_min                int
R  memory_overhead                   int  = 0
C  memory_static_max                 int
C  memory_static_min                 int
C  memory_target                     int  = 0
R  metrics                           VM_metrics ref
C  NVRAM                             map  = {}
C  order                             int  = 0
C  other_config                      map
R  parent                            VM ref  = Null
W  PCI_bus                           string
R  pending_guidances                 enum update_guidances set  = {}
R  pending_guidances_full            enum update_guidances set  = {}
R  pending_guidances_recommended     enum update_guidances set  = {}
C  platform                          map
C  power_state                       enum vm_power_state  = Halted
C  protection_policy                 VMPP ref  = OpaqueRef:NULL
W  PV_args                           string
W  PV_bootloader                     string
W  PV_bootloader_args                string
W  PV_kernel                         string
W  PV_legacy_args                    string
W  PV_ramdisk                        string
W  recommendations                   string
C  reference_label                   string  = ""
R  requires_reboot                   bool  = false
R  resident_on                       host ref
R  scheduled_to_be_resident_on       host ref  = OpaqueRef:NULL
R  secureboot_certificates_state     enum vm_secureboot_certificates_state  = ok
C  shutdown_delay                    int  = 0
R  snapshot_info                     map  = {}
R  snapshot_metadata                 string  = ""
R  snapshot_of                       VM ref  = Null
C  snapshot_schedule                 VMSS ref  = OpaqueRef:NULL
R  snapshot_time                     datetime  = 19700101T00:00:00Z
R  snapshots                         VM ref set
C  start_delay                       int  = 0
W  suspend_SR                        SR ref  = OpaqueRef:NULL
C  suspend_VDI                       VDI ref  = OpaqueRef:NULL
W  tags                              string set  = {}  @vm-operator
R  transportable_snapshot_id         string  = ""
W  user_version                      int
R  VBDs                              VBD ref set
C  VCPUs_at_startup                  int
C  VCPUs_max                         int
W  VCPUs_params                      map
C  version                           int  = 0
R  VGPUs                             VGPU ref set
R  VIFs                              VIF ref set
R  VTPMs                             VTPM ref set
R  VUSBs                             VUSB ref set
W  xenstore_data                     map  = {}
M  create(args: VM record) -> VM ref  @vm-admin
M  destroy(self: VM ref) -> void  @vm-admin
M  clone(vm: VM ref, new_name: string) -> VM ref  @vm-admin
M  copy(vm: VM ref, new_name: string, sr: SR ref) -> VM ref  @vm-admin
M  provision(vm: VM ref) -> void  @vm-admin
M  start(vm: VM ref, start_paused: bool, force: bool) -> void  @vm-operator
M  start_on(vm: VM ref, host: host ref, start_paused: bool, force: bool) -> void  @client-cert
M  unpause(vm: VM ref) -> void  @vm-operator
M  clean_shutdown(vm: VM ref) -> void  @vm-operator
M  hard_shutdown(vm: VM ref) -> void  @vm-operator
M  shutdown(vm: VM ref) -> void  @client-cert
M  clean_reboot(vm: VM ref) -> void  @vm-operator
M  hard_reboot(vm: VM ref) -> void  @vm-operator
M  snapshot(vm: VM ref, new_name: string, ignore_vdis?: VDI ref set) -> VM ref  @vm-power-admin
M  assert_can_boot_here(self: VM ref, host: host ref) -> void  @read-only
M  assert_operation_valid(self: VM ref, op: enum vm_operations) -> void  @read-only
M  get_possible_hosts(vm: VM ref) -> host ref set  @read-only
M  get_allowed_VBD_devices(vm: VM ref) -> string set  @read-only
M  get_allowed_VIF_devices(vm: VM ref) -> string set  @read-only
M  update_allowed_operations(self: VM ref) -> void  @pool-admin
M  compute_memory_overhead(vm: VM ref) -> int  @read-only
M  set_memory(self: VM ref, value: int) -> void  @vm-power-admin
M  set_memory_limits(self: VM ref, static_min: int, static_max: int, dynamic_min: int, dynamic_max: int) -> void  @vm-power-admin
M  set_memory_static_range(self: VM ref, min: int, max: int) -> void  @vm-power-admin
M  set_memory_dynamic_range(self: VM ref, min: int, max: int) -> void  @vm-power-admin
M  set_memory_dynamic_max(self: VM ref, value: int) -> void  @vm-power-admin
M  set_memory_dynamic_min(self: VM ref, value: int) -> void  @vm-power-admin
M  set_memory_static_max(self: VM ref, value: int) -> void  @vm-power-admin
M  set_memory_static_min(self: VM ref, value: int) -> void  @vm-power-admin
M  set_VCPUs_max(self: VM ref, value: int) -> void  @vm-admin
M  set_VCPUs_at_startup(self: VM ref, value: int) -> void  @vm-admin
M  set_VCPUs_number_live(self: VM ref, nvcpu: int) -> void  @vm-admin
M  set_HVM_boot_policy(self: VM ref, value: string) -> void  @vm-admin
M  set_HVM_shadow_multiplier(self: VM ref, value: float) -> void  @vm-power-admin
M  set_NVRAM(self: VM ref, value: map) -> void  @vm-admin
M  add_to_NVRAM(self: VM ref, key: string, value: string) -> void  @vm-admin
M  remove_from_NVRAM(self: VM ref, key: string) -> void  @vm-admin
M  set_actions_after_crash(self: VM ref, value: enum on_crash_behaviour) -> void  @vm-admin
M  set_blocked_operations(self: VM ref, value: (enum vm_operations -> string) map) -> void  @vm-admin
M  add_to_blocked_operations(self: VM ref, key: enum vm_operations, value: string) -> void  @vm-admin
M  remove_from_blocked_operations(self: VM ref, key: enum vm_operations) -> void  @vm-admin
M  set_domain_type(self: VM ref, value: enum domain_type) -> void  @vm-admin
M  set_ha_always_run(self: VM ref, value: bool) -> void  @pool-operator
M  set_ha_restart_priority(self: VM ref, value: string) -> void  @pool-operator
M  set_has_vendor_device(self: VM ref, value: bool) -> void  @vm-admin
M  set_order(self: VM ref, value: int) -> void  @pool-operator
M  set_shutdown_delay(self: VM ref, value: int) -> void  @pool-operator
M  set_start_delay(self: VM ref, value: int) -> void  @pool-operator
M  set_other_config(self: VM ref, value: map) -> void  @vm-admin
M  add_to_other_config(self: VM ref, key: string, value: string) -> void  @vm-admin
M  remove_from_other_config(self: VM ref, key: string) -> void  @vm-admin
M  set_platform(self: VM ref, value: map) -> void  @vm-admin
M  add_to_platform(self: VM ref, key: string, value: string) -> void  @vm-admin
M  remove_from_platform(self: VM ref, key: string) -> void  @vm-admin
removed set_protection_policy
removed snapshot_with_quiesce
"""

VM_METRICS = """
class VM_metrics, setters vm-admin
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  current_domain_type               enum domain_type  = unspecified
R  hvm                               bool  = false
R  install_time                      datetime
R  last_updated                      datetime
R  memory_actual                     int
R  nested_virt                       bool  = false
R  nomigrate                         bool  = false
R  numa_node_memory                  (int -> int) map  = {}
C  numa_nodes                        int  = 0
C  numa_optimised                    bool  = false
W  other_config                      map  = {}
R  start_time                        datetime
R  state                             string set
R  VCPUs_CPU                         (int -> int) map
R  VCPUs_flags                       (int -> string set) map
R  VCPUs_number                      int
R  VCPUs_params                      map
R  VCPUs_utilisation                 (int -> float) map  = {}  removed
"""

VM_GUEST_METRICS = """
class VM_guest_metrics, setters vm-admin
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  can_use_hotplug_vbd               enum tristate_type  = unspecified
R  can_use_hotplug_vif               enum tristate_type  = unspecified
R  disks                             map  = {}  removed
R  last_updated                      datetime
R  live                              bool  = false
R  memory                            map  = {}  removed
R  netbios_name                      map  = {}
R  networks                          map
R  os_version                        map
R  other                             map
W  other_config                      map  = {}
R  PV_drivers_detected               bool  = false
R  PV_drivers_up_to_date             bool
R  PV_drivers_version                map
R  services                          map  = {}
"""

VIF = """
class VIF, setters vm-admin
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  allowed_operations                enum vif_operations set  = {}
R  current_operations                (string -> enum vif_operations) map  = {}
C  currently_attached                bool  = false
C  device                            string
R  ipv4_addresses                    string set  = {}
C  ipv4_allowed                      string set  = {}
R  ipv4_configuration_mode           enum vif_ipv4_configuration_mode  = None
R  ipv4_gateway                      string  = ""
R  ipv6_addresses                    string set  = {}
C  ipv6_allowed                      string set  = {}
R  ipv6_configuration_mode           enum vif_ipv6_configuration_mode  = None
R  ipv6_gateway                      string  = ""
C  locking_mode                      enum vif_locking_mode  = network_default
C  MAC                               string
R  MAC_autogenerated                 bool  = false
R  metrics                           VIF_metrics ref  = OpaqueRef:NULL  removed
C  MTU                               int
C  network                           network ref
W  other_config                      map
W  qos_algorithm_params              map
W  qos_algorithm_type                string
R  qos_supported_algorithms          string set
R  runtime_properties                map
R  status_code                       int
R  status_detail                     string
C  trunks                            int set  = {}
C  VM                                VM ref
M  create(args: VIF record) -> VIF ref  @vm-admin
M  destroy(self: VIF ref) -> void  @vm-admin
M  plug(self: VIF ref) -> void  @vm-admin
M  unplug(self: VIF ref) -> void  @vm-admin
M  unplug_force(self: VIF ref) -> void  @vm-admin
M  move(self: VIF ref, network: network ref) -> void  @vm-admin
M  set_locking_mode(self: VIF ref, value: enum vif_locking_mode) -> void  @pool-operator
M  set_ipv4_allowed(self: VIF ref, value: string set) -> void  @pool-operator
M  add_ipv4_allowed(self: VIF ref, value: string) -> void  @pool-operator
M  remove_ipv4_allowed(self: VIF ref, value: string) -> void  @pool-operator
M  set_ipv6_allowed(self: VIF ref, value: string set) -> void  @pool-operator
M  add_ipv6_allowed(self: VIF ref, value: string) -> void  @pool-operator
M  remove_ipv6_allowed(self: VIF ref, value: string) -> void  @pool-operator
"""

CONSOLE = """
class console, setters vm-admin
standard get_all get_all_records get_by_uuid get_record
R  uuid                              string
R  location                          string
W  other_config                      map
R  protocol                          enum console_protocol
R  VM                                VM ref
"""

TABLES = (VM, VM_METRICS, VM_GUEST_METRICS, VIF, CONSOLE)
