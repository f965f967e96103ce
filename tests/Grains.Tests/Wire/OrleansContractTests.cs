using System.Reflection;
using OrleansCache.Grains.Hosting;

namespace OrleansCache.Grains.Tests.Wire;

/// <summary>
/// What Orleans carries between silos of different releases: the calls, by their aliases, and the members of messages, by their ids. Kept as a text, so that it
/// changes on purpose only. A silo of another release may lack what is added, and must find what it knows: lines are added, and none is changed or removed as
/// long as a release reads it (docs/decisions/0023-wire-versions.md).
/// </summary>
public sealed class OrleansContractTests
{
    private const string File = "OrleansContract.txt";

    [Fact]
    public void CallsAndMessagesAreThoseOfTheContract()
    {
        string[] now = [.. Describe()];
        string path = Path.Combine(AppContext.BaseDirectory, "Wire", File);
        string[] kept = System.IO.File.Exists(path) ? System.IO.File.ReadAllLines(path) : [];
        Assert.True(now.SequenceEqual(kept),
            $"gone: {string.Join("; ", kept.Except(now))}\nnew: {string.Join("; ", now.Except(kept))}\n{File} would be\n{string.Join('\n', now)}");
    }

    /// <summary>What crosses silos without a name of its own takes that of its type, and a refactoring would break a mixed cluster.</summary>
    [Fact]
    public void WhateverCrossesHasANameOfItsOwn()
    {
        foreach (Type type in Types())
        {
            Assert.True(AliasOf(type) is not null, $"{type} has no alias");
            foreach (MethodInfo method in type.IsInterface ? type.GetMethods() : [])
                Assert.True(AliasOf(method) is not null, $"{type}.{method.Name} has no alias");
        }
    }

    private static IEnumerable<Type> Types() => typeof(SiloReport).Assembly.GetTypes()
        .Where(static type => type.GetCustomAttribute<GenerateSerializerAttribute>() is not null || (type.IsInterface && type.IsAssignableTo(typeof(IGrain))));

    private static IEnumerable<string> Describe()
    {
        foreach (string grain in typeof(SiloReport).Assembly.GetTypes().SelectMany(static type => type.GetCustomAttributesData())
            .Where(static attribute => attribute.AttributeType == typeof(GrainTypeAttribute))
            .Select(static attribute => (string)attribute.ConstructorArguments[0].Value!).Order(StringComparer.Ordinal))
            yield return $"grain {grain}";
        foreach (Type type in Types().OrderBy(AliasOf, StringComparer.Ordinal))
        {
            if (type.IsInterface)
            {
                foreach (MethodInfo method in type.GetMethods().OrderBy(AliasOf, StringComparer.Ordinal))
                {
                    string parameters = string.Join(", ", method.GetParameters().Select(static parameter => NameOf(parameter.ParameterType)));
                    yield return $"{AliasOf(type)}.{AliasOf(method)}({parameters}): {NameOf(method.ReturnType)}";
                }

                continue;
            }

            MemberInfo[] members = type.GetMembers(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly);
            yield return $"{AliasOf(type)}";
            foreach ((uint id, MemberInfo member) in members
                .SelectMany(static member => member.GetCustomAttributes<IdAttribute>().Select(id => (id.Id, member))).OrderBy(static member => member.Id))
                yield return $"{AliasOf(type)} {id} {NameOf((member as PropertyInfo)?.PropertyType ?? ((FieldInfo)member).FieldType)}";
        }
    }

    private static string? AliasOf(MemberInfo member) => member.GetCustomAttribute<AliasAttribute>()?.Alias;

    private static string NameOf(Type type) => AliasOf(type) ?? (type.IsGenericType
        ? $"{type.Name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(NameOf))}>" : type.Name);
}
