using OrleansCache.Silo.Hosting;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>Where a silo keeps its part of the membership, said or not.</summary>
public sealed class StateDirectoryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void EachClusterPortAndNameHasItsOwn()
    {
        string[] directories =
        [
            Find(new ServeOptions { SiloPort = 1 }), Find(new ServeOptions { SiloPort = 2 }), Find(new ServeOptions { SiloPort = 1, ClusterId = "a/../b" }),
            Find(new ServeOptions { SiloPort = 1, ClusterId = "a_.._b" }), Find(new ServeOptions { SiloPort = 1, AdvertisedHost = "host" }),
        ];
        Assert.Equal(directories.Length, directories.Distinct().Count());
        Assert.All(directories, directory => Assert.Equal(Path.Combine(_folder, "orleanscache"), Path.GetDirectoryName(directory)));
    }

    [Fact]
    public void TheServiceManagersCountsFirst()
    {
        string? directory = StateDirectory.Find(
            new ServeOptions(), name => name switch { "STATE_DIRECTORY" => Path.Combine(_folder, "service") + ":/other", "HOME" => _folder, _ => null },
            out string? warning);
        Assert.Equal(Path.Combine(_folder, "service", "orleanscache-11111"), directory);
        Assert.Null(warning);
    }

    [Fact]
    public void WhatWasNotAskedForAndCannotBeWrittenIsAWarning()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        foreach (string? state in new[] { null, file })
        {
            Assert.Null(StateDirectory.Find(new ServeOptions(), name => name == "XDG_STATE_HOME" ? state : null, out string? warning));
            Assert.Contains("--data-dir", warning, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void NoneIsNone()
    {
        Assert.Null(StateDirectory.Find(new ServeOptions { DataDirectory = "none" }, _ => _folder, out string? warning));
        Assert.Null(warning);
        Assert.Equal(_folder, StateDirectory.Find(new ServeOptions { DataDirectory = _folder }, _ => null, out _));
    }

    private string Find(ServeOptions options)
    {
        string? directory = StateDirectory.Find(options, name => name == "XDG_STATE_HOME" ? _folder : null, out string? warning);
        Assert.Null(warning);
        return directory!;
    }
}
