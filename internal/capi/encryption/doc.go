// Package encryption finds out whether the bootstrap cluster encrypts at rest what must not lie readable in its etcd: Secrets,
// which hold certificate authorities, administrators' certificates and bootstrap data, and KubeadmConfigs, which hold kubeadm
// tokens.
//
// Only etcd itself could prove it, and a manager cannot read that. What it can read is the metric
// apiserver_storage_transformation_operations_total: an API server counts there every value that it encrypted or decrypted, by
// resource and by the prefix of the encryption. An API server without an EncryptionConfiguration counts nothing. Encryption
// below the API server, of etcd's disk for example, is not seen, and does not protect from who can read etcd or its backups.
package encryption
