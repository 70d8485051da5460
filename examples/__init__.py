"""Applications that use Keyturn through its public interface only."""
