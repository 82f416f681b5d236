"""The only code that talks to clusters.

Everything is read through `connection.Cluster`, which cannot write. What this program writes to a
cluster by itself, and not through Pulumi, goes through ``writer``; these modules use it:

* ``client_access`` keeps the certificates of machines (deploy/rbac-access-issue.yaml).
* ``client_requests`` asks for client certificates and decides on requests
  (deploy/rbac-access-request.yaml, deploy/rbac-access-approve.yaml).
* ``left_behind`` deletes what the stack has left behind (deploy/rbac-prune.yaml).
* ``issuing_condition`` has cert-manager issue a Certificate again (deploy/rbac-reissue.yaml).
* ``secret_restore`` brings back Secrets that a cluster has lost (deploy/rbac-restore.yaml).
"""
