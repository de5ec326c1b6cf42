"""The same work for every photo, in processes of this machine or on a cluster."""
