import type { Kind } from './facts.ts'
import { hasPattern, isOpen } from './text.ts'

const lifelines =
  /^(sshd?|openssh.*|network|networking|networkmanager|systemd-(networkd|resolved|logind|udevd)|dbus(-broker|-daemon)?|wpa_supplicant|dhcpcd|netplan.*|ifup.*|winrm|termservice|remote desktop services|windows remote management.*|rpcss|lanmanserver|dnscache|dhcp|netlogon|tailscaled|wg-quick.*|openvpn.*|amazon-ssm-agent|google-guest-agent|walinuxagent|cloud-init|qemu-guest-agent)$/i
const guards =
  /^(firewalld|ufw|nftables|ip6?tables|netfilter-persistent|auditd?|rsyslogd?|syslog(-ng)?|systemd-journald|fail2ban|apparmor|selinux.*|crowdsec|falcon-sensor|wazuh.*|ossec.*|clamav.*|clamd|osqueryd?|sysmon.*|mpssvc|windefend|wdnissvc|sense|eventlog|wscsvc|securityhealthservice|bfe|sepmasterservice|mdatp|windows defender.*|.*firewall|windows event log|security center|aide.*|samhain|chronyd|ntpd?|systemd-timesyncd)$/i

/** Whether losing the service locks people out or blinds them. */
export function serviceKind(written: string): Kind {
  const name = written.replace(/\.(service|socket|target|timer)$/, '').replace(/@.*$/, '')
  if (hasPattern(name) || isOpen(name) || name === '*' || name === 'all') return 'any-service'
  return lifelines.test(name) ? 'lifeline-service' : guards.test(name) ? 'security-service' : 'service'
}
