using OrleansCache.Grains.Hosting.Links;

namespace OrleansCache.Grains.Tests.Hosting.Links;

/// <summary>Needs connections and links that exist on Linux only.</summary>
public sealed class LinuxFactAttribute : FactAttribute
{
    public LinuxFactAttribute() => Skip = SiloTransport.IsSupported ? null : "Links between silos, and their connections, exist on Linux only.";
}
