"""The only code that talks to clusters.

Everything is read through `connection.Cluster`, which cannot write. What this program writes to a
cluster by itself, and not through Pulumi, goes through ``writer``; two modules use it:

* ``issuing_condition`` has cert-manager issue a Certificate again (deploy/rbac-reissue.yaml).
* ``secret_restore`` brings back Secrets that a cluster has lost (deploy/rbac-restore.yaml).
"""
