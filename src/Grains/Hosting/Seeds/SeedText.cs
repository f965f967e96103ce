using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>A <see cref="SeedId"/> as text that can be read back: HOST:PORT/identity as 32 digits. Empty: none.</summary>
internal static class SeedText
{
    public static string Format(SeedId seed) => seed == default ? "" : $"{seed.Address}/{seed.Identity:N}";

    public static bool TryParse(string text, out SeedId seed)
    {
        int slash = text.LastIndexOf('/');
        seed = default;
        if (slash < 0 || !SeedAddress.TryParse(text[..slash], out SeedAddress address) || !Guid.TryParseExact(text[(slash + 1)..], "N", out Guid identity))
            return false;
        seed = new SeedId(address, identity);
        return true;
    }

    public static SeedId? Parse(string text) => TryParse(text, out SeedId seed) ? seed : null;
}
