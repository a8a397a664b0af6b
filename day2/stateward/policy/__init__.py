"""Pure decisions: which instances a policy means, and what may happen to each restore point."""
