"""What stands between a provisioner and its work: the database, the cluster, its permissions. Changes nothing."""
