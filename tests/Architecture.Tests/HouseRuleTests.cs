using System.Xml.Linq;

namespace OrleansCache.Architecture.Tests;

/// <summary>Rules of the repository that no compiler keeps.</summary>
public sealed class HouseRuleTests
{
    /// <summary>Longer files are a sign of a type that does too much; benchmarks and generated tables are not counted.</summary>
    private const int SourceLinesMax = 800;

    [Fact]
    public void EveryProjectOfSrcAndTestsStandsInTheSolution()
    {
        string solution = File.ReadAllText(Path.Combine(Repository.Root, "OrleansCache.sln")).Replace('\\', '/');
        Assert.All(
            Repository.Projects.Where(project => !project.Folder.StartsWith("bench/", StringComparison.Ordinal)),
            project => Assert.True(solution.Contains($"\"{Repository.Relative(project.Path)}\"", StringComparison.Ordinal),
                $"{project.Name} is missing in OrleansCache.sln"));
    }

    [Fact]
    public void EveryRoomHasATestProject() =>
        Assert.All(
            Repository.Projects.Where(project => project.Folder.StartsWith("src/", StringComparison.Ordinal)),
            project => Assert.Contains(Repository.Projects, tests => tests.Folder == $"tests/{project.Folder["src/".Length..]}.Tests"));

    [Fact]
    public void VersionsOfPackagesStandOnlyInDirectoryPackagesProps()
    {
        foreach (Project project in Repository.Projects)
        {
            foreach (XElement reference in project.Xml.Descendants("PackageReference"))
            {
                Assert.True(
                    reference.Attribute("Version") is null && reference.Attribute("VersionOverride") is null && reference.Element("Version") is null,
                    $"{project.Name} names a version of {(string?)reference.Attribute("Include")}");
            }
        }
    }

    /// <summary>(Central versions of packages that nobody names pin what others depend on.)</summary>
    [Fact]
    public void EveryPackageThatIsUsedHasACentralVersion()
    {
        XDocument central = XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props"));
        XDocument build = XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props"));
        string[] versions = [.. central.Descendants("PackageVersion").Select(version => (string)version.Attribute("Include")!)];
        IEnumerable<string> used = Repository.Projects.SelectMany(project => project.PackageReferences)
            .Concat(build.Descendants("PackageReference").Select(reference => (string)reference.Attribute("Include")!));
        Assert.Empty(used.Except(versions));
    }

    /// <summary>Package sources differ from place to place, and with them the hashes in a lock file.</summary>
    [Fact]
    public void NoProjectHasALockFile() =>
        Assert.Empty(new[] { "src", "tests", "bench" }.SelectMany(folder => Repository.Files(folder, "packages.lock.json")));

    [Fact]
    public void NoSourceFileIsTooLong()
    {
        var tooLong = Repository.Files("src", "*.cs").Select(file => (File: Repository.Relative(file), Lines: File.ReadLines(file).Count()))
            .Where(file => file.Lines > SourceLinesMax).ToList();
        Assert.True(tooLong.Count == 0, string.Join("\n", tooLong));
    }

    /// <summary>The limit of .editorconfig, which no analyzer checks.</summary>
    [Fact]
    public void NoLineIsTooLong()
    {
        var tooLong = new[] { "src", "tests", "bench", "examples" }.SelectMany(folder => Repository.Files(folder, "*.cs"))
            .SelectMany(file => File.ReadLines(file).Index()
                .Where(line => line.Item.Length > Repository.LineLengthMax)
                .Select(line => $"{Repository.Relative(file)}:{line.Index + 1}: {line.Item.Length} characters"))
            .ToList();
        Assert.True(tooLong.Count == 0, string.Join("\n", tooLong));
    }

    [Fact]
    public void ConditionsOnTheFormOfTheBuildStandOnlyWhereTheFormsDiffer()
    {
        string[] allowed = ["src/Silo/Cluster/", "src/Silo/Options/OptionReader.cs"];
        IEnumerable<string> conditional = Repository.Files("src", "*.cs")
            .Where(file => File.ReadLines(file).Any(line => line.StartsWith("#if CLUSTER", StringComparison.Ordinal)))
            .Select(Repository.Relative)
            .Where(file => !allowed.Any(prefix => file.StartsWith(prefix, StringComparison.Ordinal)));
        Assert.Empty(conditional);
    }
}
