"""Operations: runs, switches, effects, tools, contracts, audit, settings."""
