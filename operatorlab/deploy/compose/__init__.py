"""The deployment `compose`: a subject as containers on networks of its own, with a boundary around the operator."""

from operatorlab.deploy.compose.deployment import ComposeDeployment, end_containers

__all__ = ["ComposeDeployment", "end_containers"]
