using System.Text.RegularExpressions;

namespace OrleansCache.Architecture.Tests;

/// <summary>The rooms of the house and the arrows between them (docs/ARCHITECTURE.md): these and no others.</summary>
public sealed partial class ArrowTests
{
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Abstractions"] = [],
        ["Protocol"] = ["Abstractions"],
        ["Events"] = ["Abstractions"],
        ["Storage"] = ["Abstractions"],
        ["Membership"] = ["Abstractions"],
        ["Gateway"] = ["Abstractions", "Protocol"],
        ["Client"] = ["Abstractions", "Protocol"],
        ["Cli"] = ["Abstractions"],
        ["Ownership"] = ["Abstractions", "Storage"],
        ["Grains"] = ["Abstractions", "Ownership", "Storage"],
        ["Monitoring"] = ["Abstractions", "Gateway"],
        ["Silo"] = ["Abstractions", "Cli", "Events", "Gateway", "Grains", "Monitoring", "Ownership", "Protocol", "Storage"],
    };

    /// <summary>Who may know a package or a part of the shared framework; everybody else may not.</summary>
    private static readonly (string Namespace, string[] Rooms)[] Reserved =
    [
        ("Orleans", ["Grains", "Silo"]),
        ("Npgsql", ["Grains", "Silo"]),
        // Grains: the connections that Orleans gives to its middleware; Client: output caching.
        ("Microsoft.AspNetCore", ["Gateway", "Silo", "Grains", "Client", "Monitoring"]),
        ("Microsoft.Extensions.Hosting", ["Grains", "Silo"]),
        ("System.Net.Sockets", ["Gateway", "Grains", "Silo", "Cli", "Client", "Monitoring"]),
        ("OpenTelemetry", ["Monitoring"]),
        ("OrleansCache.Cli", ["Cli", "Silo"]),
        ("OrleansCache.Protocol", ["Protocol", "Gateway", "Silo", "Client"]),
        ("OrleansCache.Events", ["Events", "Silo"]),
        ("OrleansCache.Storage", ["Storage", "Ownership", "Grains", "Silo"]),
        ("OrleansCache.Ownership", ["Ownership", "Grains", "Silo"]),
        ("OrleansCache.Membership", ["Membership", "Grains", "Silo"]),
        ("OrleansCache.Gateway", ["Gateway", "Monitoring", "Silo"]),
        ("OrleansCache.Client", ["Client"]),
        ("OrleansCache.Monitoring", ["Monitoring", "Silo"]),
        ("OrleansCache.Grains", ["Grains", "Silo"]),
        ("OrleansCache.Silo", ["Silo"]),
    ];

    public static TheoryData<string> Rooms => [.. Arrows.Keys];

    [Fact]
    public void TheHouseHasExactlyTheseRooms() =>
        Assert.Equal(Arrows.Keys.Order(), Repository.Projects.Where(project => project.Folder.StartsWith("src/", StringComparison.Ordinal))
            .Select(project => project.Folder["src/".Length..]).Order());

    [Theory]
    [MemberData(nameof(Rooms))]
    public void ARoomReferencesOnlyTheRoomsThatItMay(string room) =>
        Assert.Equal(Arrows[room].Select(other => "src/" + other), Repository.Room(room).ProjectReferences.Order());

    [Theory]
    [MemberData(nameof(Rooms))]
    public void OnlyGrainsAndSiloKnowOrleansPackages(string room)
    {
        if (room is "Grains" or "Silo")
            return;
        Assert.DoesNotContain(Repository.Room(room).PackageReferences, name => room != "Monitoring"
            || !name.StartsWith("OpenTelemetry", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Rooms))]
    public void ARoomsSourcesNameOnlyWhatTheRoomMayKnow(string room)
    {
        var forbidden = Reserved.Where(rule => !rule.Rooms.Contains(room)).Select(rule => rule.Namespace).ToList();
        var found = new List<string>();
        foreach (string file in Repository.Files("src/" + room, "*.cs"))
        {
            int number = 0;
            foreach (string line in File.ReadLines(file))
            {
                number++;
                if (Using().Match(line) is not { Success: true } match)
                    continue;
                string name = match.Groups[1].Value;
                if (forbidden.Any(prefix => name == prefix || name.StartsWith(prefix + ".", StringComparison.Ordinal)))
                    found.Add($"{Repository.Relative(file)}:{number}: {name}");
            }
        }

        Assert.True(found.Count == 0, string.Join("\n", found));
    }

    /// <summary>What the compiler made of it: an assembly beside this test's must not reference what its room may not know.</summary>
    [Theory]
    [MemberData(nameof(Rooms))]
    public void ABuiltRoomReferencesOnlyWhatTheRoomMayKnow(string room)
    {
        string assembly = room == "Silo" ? "OrleansCache" : "OrleansCache." + room;
        string configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;
        string path = Path.Combine(AppContext.BaseDirectory, "..", "..", "OrleansCache." + room, configuration, assembly + ".dll");
        Assert.True(File.Exists(path), $"{path} is not built; build the solution or this project with its references");
        using var file = new System.Reflection.PortableExecutable.PEReader(File.OpenRead(path));
        System.Reflection.Metadata.MetadataReader metadata = System.Reflection.Metadata.PEReaderExtensions.GetMetadataReader(file);
        string[] references = [.. metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name))];

        Assert.NotEmpty(references);
        IEnumerable<string> wrongRooms = references.Where(name => name.StartsWith("OrleansCache.", StringComparison.Ordinal))
            .Where(name => !Arrows[room].Contains(name["OrleansCache.".Length..]));
        IEnumerable<string> wrongPackages = room is "Grains" or "Silo" ? []
            : references.Where(name => name.StartsWith("Orleans.", StringComparison.Ordinal) || name == "Npgsql");
        Assert.Empty(wrongRooms.Concat(wrongPackages));
    }

    [GeneratedRegex(@"^\s*(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?([\w.]+)\s*;")]
    private static partial Regex Using();
}
